#!/bin/sh
# Makes this machine a node of the controller at @URL@, or updates the agent on
# it. The controller prints the line that fetches, checks and runs this script.
#
#   --key KEY            enrol with this key; without it the agent is updated
#   --tunnel             the agent calls the controller (a machine behind NAT)
#   --listen HOST:PORT   where the controller calls the agent          :8443
#   --docker-host HOST   the Docker Engine          unix:///var/run/docker.sock
#   --data DIR           the agent's data            /var/lib/berth-agent
#   --name NAME, --address HOST, --tags A,B          of the node, with a join key
#   --uninstall [--yes]  remove the agent; data and settings stay, except with --purge
#
# What it makes: the program in /usr/local/lib/berth-agent, its settings in
# /etc/berth/agent.env, the service berth-agent. It may be run again: settings
# and data stay. 0: done. 1: it could not be done, and the message says why.
# 2: it was called wrongly.
set -eu

url=@URL@
release=@RELEASE@
sum_amd64=@AMD64@
sum_arm64=@ARM64@

lib=/usr/local/lib/berth-agent
settings=/etc/berth/agent.env
unit=/etc/systemd/system/berth-agent.service
service=berth-agent

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }

die() {
  warn "berth-agent: $*"
  exit 1
}

wrong() {
  warn "berth-agent: $* (--help tells)"
  exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# setting NAME: a value of the settings of the last time.
setting() {
  [ ! -r "$settings" ] || sed -n "s/^$1=//p" "$settings" | tail -n 1
}

# plain TEXT WHAT: a value that goes into a file of settings.
plain() {
  case $1 in
    *[!A-Za-z0-9:/._,@%+=\[\]-]*) wrong "$2 has a character that is not allowed here: $1" ;;
  esac
}

key='' tunnel='' listen='' docker='' data='' name='' address='' tags='' uninstall='' yes='' purge=''

arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --key | --listen | --docker-host | --data | --name | --address | --tags)
        [ $# -ge 2 ] || wrong "$1 needs a value"
        case $1 in
          --key) key=$2 ;;
          --listen) listen=$2 ;;
          --docker-host) docker=$2 ;;
          --data) data=$2 ;;
          --name) name=$2 ;;
          --address) address=$2 ;;
          --tags) tags=$2 ;;
        esac
        shift
        ;;
      --tunnel) tunnel=true ;;
      --uninstall) uninstall=1 ;;
      --yes) yes=1 ;;
      --purge) purge=1 ;;
      --help | -h)
        sed -n '2,/^set /{/^# \{0,1\}/s///p;}' "$0"
        exit 0
        ;;
      *) wrong "unknown: $1" ;;
    esac
    shift
  done
  [ -n "$listen" ] || [ -n "$tunnel" ] || listen=$(setting BERTH_AGENT_LISTEN)
  [ -n "$tunnel" ] || [ -n "$listen" ] || tunnel=$(setting BERTH_AGENT_TUNNEL)
  [ -n "$docker" ] || docker=$(setting DOCKER_HOST)
  [ -n "$data" ] || data=$(setting BERTH_AGENT_DATA)
  [ -n "$listen" ] || [ -n "$tunnel" ] || listen=:8443
  [ -n "$data" ] || data=/var/lib/berth-agent
  plain "$listen" --listen
  plain "$docker" --docker-host
  plain "$data" --data
  case $data in /?*) ;; *) wrong "--data must be a whole path: $data" ;; esac
}

# --- the machine -------------------------------------------------------------

check_machine() {
  [ "$(id -u)" = 0 ] || die "this must be done by root: run it as root, or install sudo"
  [ "$(uname -s)" = Linux ] || die "the agent runs on Linux"
  case $(uname -m) in
    x86_64 | amd64) arch=amd64 sum=$sum_amd64 ;;
    aarch64 | arm64) arch=arm64 sum=$sum_arm64 ;;
    *) die "there is no agent for this machine ($(uname -m)); there are x86_64 and aarch64" ;;
  esac
  { [ -d /run/systemd/system ] && have systemctl; } ||
    die "this machine has no systemd, which the service needs; the agent can be run by other means: fetch $url/install/berth-agent-linux-$arch and run it with --help"
  have sha256sum || die "sha256sum is missing (Debian's package coreutils)"
  { have curl || have wget; } || die "neither curl nor wget is here: install one of them"
}

# check_engine: says what to do when no engine answers. It is no reason to stop:
# the agent waits for it.
check_engine() {
  engine=${docker:-unix:///var/run/docker.sock}
  case $engine in unix://*) ;; *) return 0 ;; esac
  if have curl; then
    [ "$(curl -s -m 5 --unix-socket "${engine#unix://}" http://engine/_ping 2>/dev/null)" != OK ] || return 0
  else
    [ ! -S "${engine#unix://}" ] || return 0
  fi
  warn "No Docker Engine answers at $engine. Install one (on Debian and Ubuntu: apt-get install docker.io), or name it"
  warn "with --docker-host; the agent starts all the same and waits for it."
}

# --- the program -------------------------------------------------------------

# fetch FROM TO: whose certificate that is doesn't matter (a controller may have one
# of its own): what comes is checked by its sum.
fetch() {
  if have curl; then
    curl -fsSk --retry 3 --connect-timeout 20 -o "$2" "$1"
  else
    wget -q --no-check-certificate -T 60 -t 3 -O "$2" "$1"
  fi
}

# releases are called by their sums; the one that is there is not fetched again.
get_program() {
  mkdir -p "$lib/releases"
  if [ -x "$lib/releases/$sum/berth-agent" ] && holds "$lib/releases/$sum/berth-agent"; then
    say "Release $release is here already."
    return 0
  fi
  say "Fetching the agent, release $release, for $arch from $url"
  incoming=$lib/releases/.incoming-$$
  rm -rf "$incoming"
  mkdir "$incoming"
  fetch "$url/install/berth-agent-linux-$arch" "$incoming/berth-agent" || die "the agent can't be fetched from $url (see above); is there room on the disk?"
  holds "$incoming/berth-agent" || die "what came from $url is not the agent that this script is for (its SHA-256 differs): nothing was installed. Ask the controller for the line again"
  chmod 755 "$incoming" "$incoming/berth-agent"
  "$incoming/berth-agent" version >/dev/null || die "the agent does not run on this machine (see above)"
  sync
  rm -rf "$lib/releases/$sum"
  mv "$incoming" "$lib/releases/$sum"
}

# holds FILE: whether it is the program that we want.
holds() { echo "$sum  $1" | sha256sum -c --quiet >/dev/null 2>&1; }

# point LINK SUM: in one step.
point() {
  ln -sfn "releases/$2" "$lib/.$1.new"
  mv -fT "$lib/.$1.new" "$lib/$1"
}

pointed() { basename "$(readlink "$lib/$1" 2>/dev/null || true)"; }

switch_program() {
  before=$(pointed current)
  if [ "$before" != "$sum" ]; then
    [ -z "$before" ] || point previous "$before"
    point current "$sum"
  fi
  rm -f "$lib/state.json" # of an update under way: this one counts
  for old in "$lib"/releases/* "$lib"/releases/.incoming-*; do
    case ${old##*/} in "$sum" | "$(pointed previous)") ;; *) rm -rf "$old" ;; esac
  done
}

# --- the service -------------------------------------------------------------

write_settings() {
  mkdir -p /etc/berth
  rm -f "$settings.new"
  (umask 077 && : >"$settings.new") # an admin may have added secrets
  {
    echo "# Settings of the Berth agent: BERTH_AGENT_ and the name of a flag of 'berth-agent serve'."
    echo "BERTH_AGENT_DATA=$data"
    [ -z "$listen" ] || echo "BERTH_AGENT_LISTEN=$listen"
    [ -z "$tunnel" ] || echo "BERTH_AGENT_TUNNEL=$tunnel"
    [ -z "$docker" ] || echo "DOCKER_HOST=$docker"
    # What an admin has added stays.
    [ ! -r "$settings" ] || grep -vE '^(#|BERTH_AGENT_(DATA|LISTEN|TUNNEL)=|DOCKER_HOST=|$)' "$settings" || true
  } >>"$settings.new"
  mv -f "$settings.new" "$settings"
}

# KillMode=process, and nothing that gives the agent mounts of its own: hosted
# containers outlive it, and the Docker Engine must see the volumes that it makes.
write_unit() {
  cat >"$unit.new" <<UNIT
[Unit]
Description=Berth agent
Documentation=$url/docs
After=network-online.target docker.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
EnvironmentFile=$settings
Environment=BERTH_AGENT_RELEASES=$lib
ExecStart=$lib/current/berth-agent serve
Restart=always
RestartSec=1
KillMode=process
TimeoutStopSec=30
LimitNOFILE=1048576
OOMScoreAdjust=-500
UMask=0077

[Install]
WantedBy=multi-user.target
UNIT
  mv -f "$unit.new" "$unit"
}

enrolled() { [ -e "$data/node.json" ]; }

# enrol: once for each key, so that the same line can be run again.
enrol() {
  mkdir -p "$data"
  chmod 700 "$data"
  if [ -z "$key" ]; then
    enrolled || die "this machine is not enrolled: ask the controller for the line with a key"
    return 0
  fi
  id=${key#berth-enrol.}
  id=${id%%.*}
  if enrolled && [ "$(cat "$data/enrolled-with" 2>/dev/null)" = "$id" ]; then
    say "This machine was enrolled with this key already."
    return 0
  fi
  say "Enrolling at $url"
  set -- --controller "$url" --data "$data"
  ! enrolled || set -- "$@" --force
  [ -z "$name" ] || set -- "$@" --name "$name"
  [ -z "$address" ] || set -- "$@" --address "$address"
  [ -z "$tags" ] || set -- "$@" --tags "$tags"
  case $listen in '' | *:8443) ;; *) set -- "$@" --port "${listen##*:}" ;; esac
  # By the environment, which other users can't read.
  BERTH_ENROLMENT_KEY=$key BERTH_AGENT_TUNNEL=${tunnel:-false} "$lib/current/berth-agent" enrol "$@" >/dev/null || exit 1
  echo "$id" >"$data/enrolled-with"
}

active() { systemctl is-active --quiet "$service"; }

# main_pid: of the service, 0 while there is none.
main_pid() { systemctl show --property MainPID --value "$service" 2>/dev/null || echo 0; }

# stands: whether the service is active, and the same process for a while: one
# that ends at once is started again and again.
stands() {
  pid=0 same=0 others=0 tries=0
  while [ $tries -lt 40 ] && [ $others -lt 6 ]; do
    tries=$((tries + 1))
    now=$(main_pid)
    if active && [ "$now" = "$pid" ] && [ "$now" != 0 ]; then
      same=$((same + 1))
      [ $same -lt 3 ] || return 0
    else
      [ "$now" = 0 ] || [ "$now" = "$pid" ] || others=$((others + 1))
      pid=$now same=0
    fi
    sleep 0.5
  done
  return 1
}

start() {
  say "Starting the service $service"
  systemctl daemon-reload
  systemctl enable --quiet "$service"
  systemctl restart "$service"
  if stands; then return 0; fi
  warn "The service does not stay up. Its last words (journalctl -u $service):"
  journalctl -q --no-pager -n 15 -u "$service" 2>/dev/null | sed 's/^/    /' >&2 || true
  if [ -n "$before" ] && [ "$before" != "$sum" ] && [ -x "$lib/releases/$before/berth-agent" ]; then
    point current "$before"
    systemctl restart "$service" || true
    die "the agent is put back to the release that ran before"
  fi
  die "mend that and run this again; nothing was lost"
}

install() {
  check_machine
  check_engine
  get_program
  switch_program
  enrol
  write_settings
  write_unit
  start
  say "The agent runs: release $release, data in $data, settings in $settings."
  say "The controller shows the node as online within seconds: $url (or: berth-controller node list)"
}

# --- the way back ------------------------------------------------------------

sure() {
  [ -z "$yes" ] || return 0
  (: </dev/tty) 2>/dev/null || die "nobody can be asked here: say --yes"
  printf '%s [y/N] ' "$1" >/dev/tty
  read -r answer </dev/tty || answer=
  case $answer in y | Y | yes) ;; *) die "left as it is" ;; esac
}

# hosted: how many instances are here, by their containers, and where those are
# gone or the engine can't be asked, by their volumes.
hosted() {
  engine=${docker:-unix:///var/run/docker.sock} count=0
  node=$(sed -n 's/.*"node": *"\([^"]*\)".*/\1/p' "$data/node.json" 2>/dev/null)
  if [ -n "$node" ] && have curl && [ -S "${engine#unix://}" ]; then
    count=$(curl -s -m 10 --unix-socket "${engine#unix://}" -G http://engine/containers/json --data-urlencode 'all=true' \
      --data-urlencode "filters={\"label\":[\"berth.node=$node\"]}" | grep -o '"Id":' | wc -l)
  fi
  [ "$count" -gt 0 ] || count=$(find "$data/volumes" -mindepth 1 -maxdepth 1 -type d ! -name '.*' 2>/dev/null | wc -l)
  echo "$count"
}

remove() {
  [ "$(id -u)" = 0 ] || die "this must be done by root"
  if [ -n "$purge" ]; then
    count=$(hosted)
    [ "$count" -eq 0 ] || die "$count hosted instances are here, with their data in $data: move or delete them first (the controller's node drain moves them)"
    sure "Remove the agent and everything in $data for good?"
  else
    sure "Remove the agent? Its data in $data and its settings stay, and hosted containers keep running."
  fi
  systemctl disable --quiet --now "$service" 2>/dev/null || true
  if [ -n "$purge" ] && [ -x "$lib/current/berth-agent" ]; then
    # Disks of instances are mounted; an agent from before that knows no unmount.
    "$lib/current/berth-agent" unmount --data "$data" || ! grep -q " $data/" /proc/mounts ||
      die "what is mounted in $data is in use: remove the containers that use it, then run this again"
  fi
  rm -rf "$unit" "$lib"
  systemctl daemon-reload 2>/dev/null || true
  if [ -n "$purge" ]; then
    rm -rf "$data" "$settings"
    say "The agent and its data are removed."
  else
    say "The agent is removed. Its data is still in $data; running this again without --uninstall brings it back."
  fi
}

# The line keeps this script in a temporary file.
clean_up() {
  [ -z "${incoming:-}" ] || rm -rf "$incoming"
  case $0 in "${TMPDIR:-/tmp}"/tmp.*) rm -f "$0" ;; esac
}

main() {
  arguments "$@"
  umask 022
  trap clean_up EXIT
  trap 'exit 1' INT TERM HUP
  if [ -n "$uninstall" ]; then remove; else install; fi
}

main "$@"
