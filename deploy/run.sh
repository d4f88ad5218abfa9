#!/usr/bin/env bash
# make run: a controller and one enrolled agent on this machine, until Ctrl-C.
#
#   DATA          where all state is                         ./data
#   LISTEN        where the panel and the API listen         0.0.0.0:8080
#   AGENT_LISTEN  where the agent listens                    127.0.0.1:8443
#   BIN           where the two programs are                 bin
#   MEMORY, DISK  MiB that the node may give to instances    most of the machine's
#   VOLUMES       how disk limits are held, docs/volumes.md  directory
#
# BERTH_API_KEY and BERTH_ADMIN_PASSWORD, when set at the first start, become the
# first admin's; else they are drawn. Both are kept in DATA/credentials. Secrets
# go to the programs by their environment, never as arguments, which every user
# of the machine can read.
# shellcheck disable=SC2317 # functions that are called by trap or by name
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

data=$(realpath -m "${DATA:-$here/../data}")
bin=$(realpath -m "${BIN:-$here/../bin}")
listen=${LISTEN:-0.0.0.0:8080}
agent_listen=${AGENT_LISTEN:-127.0.0.1:8443}
patience=${PATIENCE:-60} # seconds until each part must answer

# The agent gives volumes to the users of images and needs root for it; so that
# all state has one owner, everything here runs as root.
if [ "$(id -u)" != 0 ]; then
  have sudo || die "the agent needs root: run make as root, or install sudo"
  export DATA=$data BIN=$bin
  exec sudo --preserve-env=DATA,BIN,LISTEN,AGENT_LISTEN,MEMORY,DISK,VOLUMES,PATIENCE,DOCKER_HOST,BERTH_API_KEY,BERTH_ADMIN_PASSWORD,BERTH_PUBLIC_URL,BERTH_RATE_LIMIT \
    bash "$here/run.sh"
fi

controller='' agent='' # their pids
first=''               # not empty at the first start on DATA

# --- addresses ---------------------------------------------------------------

port_of() { echo "${1##*:}"; }

# host_of ADDRESS: the host of HOST:PORT, without the brackets of IPv6.
host_of() {
  local host=${1%:*}
  host=${host#[}
  echo "${host%]}"
}

everywhere() { case $(host_of "$1") in '' | 0.0.0.0 | ::) return 0 ;; *) return 1 ;; esac }

# dialled ADDRESS: how this machine itself reaches an address to listen at.
dialled() {
  local host
  host=$(host_of "$1")
  ! everywhere "$1" || host=127.0.0.1
  case $host in *:*) host="[$host]" ;; esac
  echo "$host:$(port_of "$1")"
}

valid_address() {
  [[ $1 =~ ^(.*):([0-9]{1,5})$ ]] && [ "${BASH_REMATCH[2]}" -ge 1 ] && [ "${BASH_REMATCH[2]}" -le 65535 ]
}

# kernel_address IPV4: as /proc/net/tcp spells it; nothing for another form.
kernel_address() {
  local a b c d
  [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$ ]] || return 0
  IFS=. read -r a b c d <<<"$1"
  printf '%02X%02X%02X%02X' "$d" "$c" "$b" "$a"
}

# busy ADDRESS: whether a program listens where we want to.
busy() {
  local mine port
  port=$(printf '%04X' "$(port_of "$1")")
  mine=$(kernel_address "$(host_of "$1")")
  ! everywhere "$1" || mine=any
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$port" -v mine="$mine" '
    $4 == "0A" {
      split($2, at, ":")
      if (at[2] == port && (mine == "any" || at[1] ~ /^0+$/ || at[1] == mine)) found = 1
    }
    END { exit !found }'
}

# free ADDRESS VARIABLE: ends us when the address can't be listened at.
free() {
  valid_address "$1" || die "$2=$1 is not HOST:PORT"
  busy "$1" || return 0
  local who=''
  ! have ss || who=$(ss -Hltnp "sport = :$(port_of "$1")" 2>/dev/null | sed -nE 's/.*users:\(\("([^"]+)",pid=([0-9]+).*/ by \1 (pid \2)/p' | head -n 1)
  die "port $(port_of "$1") is in use$who; end that program, or choose another port with $2=$(host_of "$1"):PORT"
}

# --- state -------------------------------------------------------------------

# random_text: 160 bits as text.
random_text() { od -An -N20 -tx1 /dev/urandom | tr -d ' \n'; }

# entry FILE NAME: a value of a file of NAME=value lines. The file is read, not
# run: nobody's text becomes a command.
entry() { sed -n "s/^$2=//p" "$1" | head -n 1; }

# write_credentials FILE KEY PASSWORD
write_credentials() {
  (umask 077 && printf 'BERTH_API_KEY=%s\nBERTH_ADMIN_PASSWORD=%s\n' "$2" "$3" >"$1.part")
  mv -f "$1.part" "$1"
}

# read_credentials: the first admin's key and password. Before the first start
# they come from the environment, or from the lot that is drawn and kept in
# credentials.new; keep_credentials makes them final once a controller runs with
# them, so that what it refuses is not remembered.
read_credentials() {
  local file=$data/credentials drawn=$data/credentials.new
  if [ -e "$file" ]; then
    api_key=$(entry "$file" BERTH_API_KEY)
    password=$(entry "$file" BERTH_ADMIN_PASSWORD)
  else
    if [ ! -e "$drawn" ]; then
      [ ! -e "$data/controller" ] || die "$file is missing, but $data/controller is there: its keys can't be read back. Start it with '$bin/berth-controller serve --data $data/controller', make a key with '$bin/berth-controller key create --data $data/controller', and write $file with the lines BERTH_API_KEY=… and BERTH_ADMIN_PASSWORD=…"
      write_credentials "$drawn" "berth_$(random_text)" "$(random_text)"
    fi
    api_key=${BERTH_API_KEY:-$(entry "$drawn" BERTH_API_KEY)}
    password=${BERTH_ADMIN_PASSWORD:-$(entry "$drawn" BERTH_ADMIN_PASSWORD)}
  fi
  if [ -z "$api_key" ] || [ -z "$password" ]; then
    die "$file lacks BERTH_API_KEY or BERTH_ADMIN_PASSWORD"
  fi
}

keep_credentials() {
  if [ ! -e "$data/credentials" ]; then
    write_credentials "$data/credentials" "$api_key" "$password"
    first=yes
  fi
  rm -f "$data/credentials.new"
}

# fresh_log FILE: starts a log anew and keeps the one before. It is root's alone:
# the controller's first start says the first admin's password.
fresh_log() {
  [ ! -e "$1" ] || mv -f "$1" "$1.1"
  (umask 077 && : >"$1")
}

# memory_mib, disk_mib: what the node may give away. The machine keeps an eighth
# of its memory (512 MiB at least) and a tenth of its free disk for itself.
memory_mib() {
  awk '/^MemTotal:/ { m = $2 / 1024; k = m / 8; if (k < 512) k = 512; if (k > m / 2) k = m / 2; printf "%d\n", m - k }' /proc/meminfo
}

disk_mib() { df -Pm "$data" | awk 'NR == 2 { printf "%d\n", $4 * 0.9 }'; }

# --- talking -----------------------------------------------------------------

# api PATH: the body of a GET with the admin's key; fails unless it is a 2xx.
api() {
  curl -sf -m 10 --noproxy '*' --config - "http://$(dialled "$listen")$1" <<<"header = \"x-api-key: $api_key\""
}

# field OBJECT NAME: the text OBJECT.NAME in JSON on stdin.
field() {
  tr '\n' ' ' | sed -nE "s/.*\"$1\"[[:space:]]*:[[:space:]]*\{[^{}]*\"$2\"[[:space:]]*:[[:space:]]*\"([^\"]*)\".*/\1/p"
}

# texts NAME: every text of that name in JSON on stdin, one a line.
texts() { grep -oE "\"$1\"[[:space:]]*:[[:space:]]*\"[^\"]*\"" | sed -E 's/^"[^"]*"[[:space:]]*:[[:space:]]*"//; s/"$//'; }

healthy() { curl -sf -m 5 --noproxy '*' -o /dev/null "http://$(dialled "$listen")/api/v1/health"; }

online() { api /api/nodes | tr '{' '\n' | grep -F "\"$node\"" | grep -qE '"status"[[:space:]]*:[[:space:]]*"Online"'; }

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# await PID WHAT…: waits until the command works; gives up when PID ends.
await() {
  local pid=$1 until=$((SECONDS + patience))
  shift
  while [ "$SECONDS" -lt "$until" ]; do
    "$@" && return
    alive "$pid" || return 1
    sleep 0.2
  done
  return 1
}

# --- life --------------------------------------------------------------------

# end PID: asks a program to end, waits, and kills it if it doesn't.
end() {
  local until=$((SECONDS + 30))
  alive "$1" || return 0
  kill -TERM "$1" 2>/dev/null || return 0
  while alive "$1" && [ "$SECONDS" -lt "$until" ]; do sleep 0.1; done
  if alive "$1"; then
    say "pid $1 did not end in 30 s and is killed"
    kill -KILL "$1" 2>/dev/null || true
  fi
}

# finish CODE: ends both, the agent first: its last words reach the controller.
# Another Ctrl-C meanwhile changes nothing.
finish() {
  trap '' INT TERM HUP
  [ -z "$agent" ] || end "$agent"
  [ -z "$controller" ] || end "$controller"
  exit "$1"
}

stopped() {
  echo
  echo "Berth ends; hosted containers keep running."
  finish 0
}

# failed NAME: says that a part has failed, with the end of its log.
failed() {
  say "$2; the end of $data/$1.log:"
  shown "$data/$1.log" 20
  finish 1
}

# Each part runs in a session of its own: Ctrl-C reaches only us, and we end
# both in order. They must not hold our lock beyond our own life.
start_controller() {
  fresh_log "$data/controller.log"
  BERTH_API_KEY=$api_key BERTH_ADMIN_PASSWORD=$password \
    setsid "$bin/berth-controller" serve --data "$data/controller" --listen "$listen" \
    </dev/null >>"$data/controller.log" 2>&1 9>&- &
  controller=$!
  await "$controller" healthy || failed controller "the controller did not start"
  keep_credentials
}

# enrol: makes the node and lets the agent in, once. DATA/node remembers how far
# that came: the node, and whether the agent is in.
enrol() {
  local answer key again=() file=$data/node
  if [ -e "$file" ]; then
    node=$(entry "$file" ID)
    if [ "$(entry "$file" LISTEN)" != "$agent_listen" ]; then
      say "the local node was made with AGENT_LISTEN=$(entry "$file" LISTEN): the controller looks for it there. Start with that, or with another DATA"
      finish 1
    fi
    [ "$(entry "$file" ENROLLED)" != yes ] || return 0
    answer=$("$bin/berth-controller" node key "$node" --data "$data/controller" --json 2>>"$data/controller.log" 9>&-) ||
      failed controller "the local node got no new enrolment key"
    again=(--force)
  else
    local memory=${MEMORY:-} disk=${DISK:-}
    answer=$("$bin/berth-controller" node create --data "$data/controller" --json --name local \
      --address "$(host_of "$(dialled "$agent_listen")")" --port "$(port_of "$agent_listen")" \
      --memory "${memory:-$(memory_mib)}" --disk "${disk:-$(disk_mib)}" 2>>"$data/controller.log" 9>&-) ||
      failed controller "the local node could not be made"
    node=$(field node id <<<"$answer")
    [ -n "$node" ] || failed controller "the controller's answer to 'node create' holds no node"
    printf 'ID=%s\nLISTEN=%s\n' "$node" "$agent_listen" >"$file"
  fi
  key=$(field enrolment key <<<"$answer")
  [ -n "$key" ] || key=$(texts key <<<"$answer" | head -n 1)
  [ -n "$key" ] || failed controller "the controller's answer holds no enrolment key"
  BERTH_ENROLMENT_KEY=$key "$bin/berth-agent" enrol --controller "http://$(dialled "$listen")" --data "$data/agent" "${again[@]}" \
    >>"$data/agent.log" 2>&1 9>&- || failed agent "the agent could not be enrolled"
  echo ENROLLED=yes >>"$file"
}

start_agent() {
  setsid "$bin/berth-agent" serve --data "$data/agent" --listen "$agent_listen" --docker-host "$docker_host" --volumes "${VOLUMES:-directory}" \
    </dev/null >>"$data/agent.log" 2>&1 9>&- &
  agent=$!
  await "$agent" online || {
    alive "$agent" || failed agent "the agent ended"
    api /api/v1/health >/dev/null || failed controller "the controller does not answer any more"
    api /api/nodes >/dev/null || return 0 # the key was changed since: the summary says so
    failed agent "the local node did not come online in $patience s"
  }
}

# --- summary -----------------------------------------------------------------

# example: the line that deploys a first instance, for a terminal to copy.
example() {
  local url=$1 user image port=25580
  while busy "0.0.0.0:$port"; do port=$((port + 1)); done
  user=$(api /api/users | tr '{' '\n' | grep -E '"username"[[:space:]]*:[[:space:]]*"admin"' | texts userId | head -n 1) || true
  image=$(api /api/images | texts Image | grep -i demo | head -n 1) || true
  cat <<TEXT
A first instance, a small demo server; once it runs it answers at http://$(host_of "$(dialled "$listen")"):$port

  curl -X POST $url/api/instances/deploy \\
    -H 'x-api-key: $api_key' -H 'content-type: application/json' \\
    -d '{"image": "$image", "memory": 64, "cpu": "0.5", "ports": "$port:$port", "primary": "$port",
         "nodeId": "$node", "name": "hello", "user": "$user", "variables": {}}'
TEXT
}

# sftp_port: where the node serves SFTP; nothing when it doesn't.
sftp_port() { api "/api/v1/nodes/$node" | tr -d ' \n' | sed -nE 's/.*"sftp":\{("[a-z_]+":"[^"]*",)*"port":([0-9]+).*/\2/p'; }

summary() {
  local url other='' unless='' sftp
  sftp=$(sftp_port) || true
  sftp=${sftp:+"port $sftp, login USERNAME.INSTANCEID (docs/sftp.md)"}
  sftp=${sftp:-"not served: agent.log says why"}
  url=http://$(dialled "$listen")
  # The controller knows which of the machine's addresses leads outside; the
  # first that the system names may be a bridge of Docker's.
  if everywhere "$listen"; then
    other=$(cat "$data/controller/public-url" 2>/dev/null || true)
    [ "${other:-$url}" = "$url" ] && other='' || other="   (from elsewhere: $other)"
  fi
  [ -n "$first" ] || unless='   (unless it was changed since)'
  cat <<TEXT

Berth runs.

  panel    $url$other
  API      $url/docs
  login    admin, password $password$unless
  API key  $api_key
  node     local ($node), Docker Engine at $docker_host
  SFTP     $sftp
  state    $data (logs: controller.log, agent.log)

TEXT
  if api /api/users >/dev/null; then
    example "$url"
  else
    echo "The key in $data/credentials is not valid any more; make one with: $bin/berth-controller key --help"
  fi
  printf '\nCtrl-C ends the controller and the agent; hosted containers keep running.\n'
}

main() {
  local name
  for name in berth-controller berth-agent; do
    [ -x "$bin/$name" ] || die "$bin/$name is missing: run make build"
  done
  need_curl
  mkdir -p "$data"
  exec 9>"$data/lock"
  flock -n 9 || die "another make run uses $data already"
  free "$listen" LISTEN
  free "$agent_listen" AGENT_LISTEN
  docker_host=$("$here/engine.sh" ensure --state "$data/engine" --keep)
  read_credentials
  trap stopped INT TERM HUP
  start_controller
  fresh_log "$data/agent.log"
  enrol
  start_agent
  summary
  local code=0
  wait -n "$controller" "$agent" 2>/dev/null || code=$?
  if alive "$controller"; then
    failed agent "the agent ended by itself (exit code $code)"
  fi
  failed controller "the controller ended by itself (exit code $code)"
}

main "$@"
