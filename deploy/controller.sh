#!/usr/bin/env bash
# The controller as a service of this machine, with systemd. As root:
#
#   controller.sh install [--listen HOST:PORT] [--public-url URL] [--program FILE]
#   controller.sh upgrade [--program FILE]
#   controller.sh rollback [--restore FILE]
#   controller.sh uninstall [--yes] [--purge]
#
# --program is bin/berth-controller of this tree when it isn't given. install
# may be run again to change settings. upgrade backs everything up, switches,
# and goes back by itself, program and database, when the new release does not
# become healthy. rollback goes back to the release before; when that can't read
# the database any more, --restore names the backup to put in its place.
# uninstall leaves the data, except with --purge.
#
# Programs are in /usr/local/lib/berth-controller, settings in
# /etc/berth/controller.env, data in /var/lib/berth-controller; the command
# berth-controller works on those.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

lib=/usr/local/lib/berth-controller
data=/var/lib/berth-controller
settings=/etc/berth/controller.env
first=/etc/berth/controller.first
unit=/etc/systemd/system/berth-controller.service
command=/usr/local/bin/berth-controller
service=berth-controller
user=berth
patience=${BERTH_PATIENCE:-60} # seconds until a started controller must be healthy

program=$here/../bin/berth-controller
listen='' url='' restore='' yes='' purge=''

# --- small things ------------------------------------------------------------

setting() { # NAME: its value of the last time
  [ ! -r "$settings" ] || sed -n "s/^$1=//p" "$settings" | tail -n 1
}

# point LINK RELEASE: in one step.
point() {
  ln -sfn "releases/$2" "$lib/.$1.new"
  mv -fT "$lib/.$1.new" "$lib/$1"
}

pointed() { basename "$(readlink "$lib/$1" 2>/dev/null || true)"; }

random_text() { od -An -N20 -tx1 /dev/urandom | tr -d ' \n'; }

# as_service COMMAND…: as the controller's own user, so that what it makes is his.
as_service() { runuser -u "$user" -- "$@"; }

# run_release RELEASE ARGUMENTS…
run_release() {
  local release=$1
  shift
  as_service "$lib/releases/$release/berth-controller" "$@" --data "$data"
}

check() {
  [ "$(id -u)" = 0 ] || die "this must be done by root"
  [ -d /run/systemd/system ] || die "this machine has no systemd"
}

check_program() {
  [ -x "$program" ] || die "$program is missing: run make build, or name a program with --program"
  version=$("$program" version) || die "$program does not run on this machine"
}

installed() { [ -x "$lib/current/berth-controller" ] || die "no controller is installed here: controller.sh install"; }

# --- the service -------------------------------------------------------------

# place: copies the program to where releases are and prints what it is called.
place() {
  local sum release
  sum=$(sha256sum "$program" | cut -c1-12)
  release=$(tr -c 'A-Za-z0-9.+\n-' _ <<<"$version")-$sum
  if [ ! -x "$lib/releases/$release/berth-controller" ]; then
    mkdir -p "$lib/releases"
    rm -rf "$lib/releases/.incoming"
    mkdir "$lib/releases/.incoming"
    install -m 0755 "$program" "$lib/releases/.incoming/berth-controller"
    sync
    mv "$lib/releases/.incoming" "$lib/releases/$release"
  fi
  echo "$release"
}

# switch_to RELEASE
switch_to() {
  local before
  before=$(pointed current)
  [ -z "$before" ] || [ "$before" = "$1" ] || point previous "$before"
  point current "$1"
}

thin_releases() {
  local old
  for old in "$lib"/releases/*; do
    case ${old##*/} in "$(pointed current)" | "$(pointed previous)") ;; *) rm -rf "$old" ;; esac
  done
}

write_settings() {
  mkdir -p /etc/berth
  {
    echo "# Settings of the Berth controller: see 'berth-controller serve --help'."
    echo "BERTH_DATA=$data"
    echo "BERTH_LISTEN=$listen"
    [ -z "$url" ] || echo "BERTH_PUBLIC_URL=$url"
    # What an admin has added stays.
    [ ! -r "$settings" ] || grep -vE '^(#|BERTH_(DATA|LISTEN|PUBLIC_URL)=|$)' "$settings" || true
  } >"$settings.new"
  chmod 600 "$settings.new"
  mv -f "$settings.new" "$settings"
}

write_unit() {
  cat >"$unit.new" <<UNIT
[Unit]
Description=Berth controller
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
User=$user
Group=$user
EnvironmentFile=$settings
EnvironmentFile=-$first
ExecStart=$lib/current/berth-controller serve
Restart=always
RestartSec=1
TimeoutStopSec=30
LimitNOFILE=1048576
UMask=0077
StateDirectory=berth-controller
StateDirectoryMode=0700
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
UNIT
  mv -f "$unit.new" "$unit"
  systemctl daemon-reload
}

write_command() {
  mkdir -p "${command%/*}"
  cat >"$command.new" <<COMMAND
#!/bin/sh
# berth-controller, on the data of this machine's service.
export BERTH_DATA="\${BERTH_DATA:-$data}"
exec $lib/current/berth-controller "\$@"
COMMAND
  chmod 755 "$command.new"
  mv -f "$command.new" "$command"
}

# health_url: where this machine itself reaches the controller.
health_url() {
  local at host
  at=$(setting BERTH_LISTEN)
  host=${at%:*}
  case $host in '' | 0.0.0.0 | '[::]') host=127.0.0.1 ;; esac
  echo "http://$host:${at##*:}/api/v1/health"
}

main_pid() { systemctl show --property MainPID --value "$service" 2>/dev/null || echo 0; }

# healthy: waits until the controller answers. One that ends again and again is
# given up early.
healthy() {
  local until=$((SECONDS + patience)) pid=0 now deaths=0 address
  address=$(health_url)
  while [ "$SECONDS" -lt "$until" ]; do
    if curl -sf -m 5 --noproxy '*' -o /dev/null "$address"; then return 0; fi
    now=$(main_pid)
    if [ "$now" != "$pid" ]; then
      pid=$now
      [ "$now" = 0 ] || deaths=$((deaths + 1))
    fi
    [ "$deaths" -lt 4 ] || return 1
    sleep 0.3
  done
  return 1
}

last_words() {
  say "its last words (journalctl -u $service):"
  journalctl -q --no-pager -n 15 -u "$service" 2>/dev/null | sed 's/^/    /' >&2 || true
}

# --- the verbs ---------------------------------------------------------------

verb_install() {
  check
  need_curl
  local release begun=''
  [ -n "$listen" ] || listen=$(setting BERTH_LISTEN)
  [ -n "$listen" ] || listen=0.0.0.0:8080
  [ -n "$url" ] || url=$(setting BERTH_PUBLIC_URL)
  case $listen in *:[0-9]*) ;; *) die "--listen must be HOST:PORT, not $listen" ;; esac
  if [ -n "$(pointed current)" ] && [ -e "$data/berth.db" ]; then
    say "a controller is installed: its settings are written anew; upgrade changes its program"
  else
    check_program
    id -u "$user" >/dev/null 2>&1 || useradd --system --user-group --home-dir "$data" --no-create-home --shell /usr/sbin/nologin "$user"
    install -d -m 0700 -o "$user" -g "$user" "$data"
    release=$(place)
    switch_to "$release"
    thin_releases
  fi
  write_settings
  write_command
  if [ ! -e "$data/berth.db" ]; then
    begun=1
    # Not in the journal: the first admin's secrets are handed over in a file
    # that is gone once the controller has read it.
    [ -e "$first" ] || (umask 077 && printf 'BERTH_API_KEY=berth_%s\nBERTH_ADMIN_PASSWORD=%s\n' "$(random_text)" "$(random_text)" >"$first")
  fi
  write_unit
  systemctl enable --quiet "$service"
  systemctl restart "$service"
  healthy || {
    last_words
    die "the controller does not become healthy; mend that and run this again"
  }
  echo "The controller runs: release $("$lib/current/berth-controller" version), listening at $listen, data in $data."
  if [ -n "$begun" ]; then
    echo "Shown once:"
    sed -n 's/^BERTH_ADMIN_PASSWORD=/  login admin, password /p; s/^BERTH_API_KEY=/  API key /p' "$first"
    rm -f "$first"
  fi
  echo "Add a node: berth-controller node create --name NAME --address HOST --memory MIB --disk MIB"
}

# back_up RELEASE: everything, into a new file whose name is printed; RELEASE's
# program does it.
back_up() {
  local file
  file=$data/backups/upgrade-$(date -u +%Y%m%d-%H%M%S.%3N).tar.gz
  install -d -m 0700 -o "$user" -g "$user" "$data/backups"
  run_release "$1" backup "$file" >&2
  # The last five stay.
  find "$data/backups" -maxdepth 1 -name 'upgrade-*.tar.gz' | sort | head -n -5 | xargs -r rm -f
  echo "$file"
}

verb_upgrade() {
  check
  installed
  check_program
  need_curl
  local old new file before
  old=$(pointed current)
  before=$(pointed previous)
  new=$(place)
  if [ "$old" = "$new" ]; then
    echo "The controller is of this release already: $version."
    return
  fi
  # A mistake from here on ends the script with the old release in place.
  file=$(back_up "$new")
  switch_to "$new"
  write_unit
  systemctl restart "$service"
  if healthy; then
    thin_releases
    echo "The controller runs: release $version. The backup of before is $file."
    echo "The agents are updated by: berth-controller node update --all"
    return
  fi
  last_words
  say "the new release does not become healthy: going back"
  switch_to "$old"
  systemctl restart "$service"
  if ! healthy; then
    # The new release has changed the schema; nobody was served by it.
    systemctl stop "$service"
    run_release "$new" restore "$file" >&2
    systemctl restart "$service"
    healthy || {
      last_words
      die "the release before does not become healthy either; the backup is $file"
    }
  fi
  if [ -n "$before" ]; then # the release that failed is no way back
    point previous "$before"
  else
    rm -f "$lib/previous"
  fi
  thin_releases
  die "the upgrade failed; release $("$lib/current/berth-controller" version) runs again"
}

verb_rollback() {
  check
  installed
  need_curl
  local old new
  new=$(pointed current)
  old=$(pointed previous)
  if [ -z "$old" ] || [ "$old" = "$new" ] || [ ! -x "$lib/releases/$old/berth-controller" ]; then
    die "there is no release to go back to"
  fi
  if [ -n "$restore" ]; then
    [ -r "$restore" ] || die "$restore can't be read"
    systemctl stop "$service"
    # By root: the file may be where the controller's user can't read it.
    "$lib/releases/$new/berth-controller" restore "$restore" --data "$data" >&2 || {
      systemctl start "$service"
      die "nothing was changed"
    }
  fi
  switch_to "$old"
  systemctl restart "$service"
  if healthy; then
    echo "The controller runs: release $("$lib/current/berth-controller" version)."
    return
  fi
  last_words
  switch_to "$new"
  systemctl restart "$service"
  healthy || true
  say "backups in $data/backups:"
  find "$data/backups" -maxdepth 1 -name '*.tar.gz' 2>/dev/null | sort | sed 's/^/    /' >&2
  die "the release before does not become healthy and this one is put back; if it can't read the newer database, name a backup: controller.sh rollback --restore FILE (what was changed since then is set aside)"
}

verb_uninstall() {
  check
  if [ -z "$yes" ]; then
    [ -t 0 ] || die "nobody can be asked: say --yes"
    local answer
    read -r -p "Remove the controller${purge:+ and everything in $data for good}? [y/N] " answer
    [ "$answer" = y ] || die "left as it is"
  fi
  systemctl disable --quiet --now "$service" 2>/dev/null || true
  rm -rf "$unit" "$settings" "$first" "$command" "$lib"
  systemctl daemon-reload
  if [ -n "$purge" ]; then
    rm -rf "$data"
    ! id -u "$user" >/dev/null 2>&1 || userdel "$user"
    echo "The controller and its data are removed."
  else
    echo "The controller is removed. Its data is still in $data; install brings it back."
  fi
}

main() {
  local verb=${1:-}
  shift || true
  while [ $# -gt 0 ]; do
    case $1 in
      --listen | --public-url | --program | --restore)
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
          --listen) listen=$2 ;;
          --public-url) url=$2 ;;
          --program) program=$2 ;;
          --restore) restore=$2 ;;
        esac
        shift
        ;;
      --yes) yes=1 ;;
      --purge) purge=1 ;;
      *) die "unknown: $1" ;;
    esac
    shift
  done
  case $verb in
    install | upgrade | rollback | uninstall) "verb_$verb" ;;
    *) die "usage: controller.sh install|upgrade|rollback|uninstall (the head of this file says more)" ;;
  esac
}

main "$@"
