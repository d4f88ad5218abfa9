#!/usr/bin/env bash
# Makes sure that a Docker Engine answers, and prints its DOCKER_HOST.
#
#   engine.sh ensure --state DIR [--for PID | --keep]
#   engine.sh stop [--for PID]
#   engine.sh clean --state DIR
#
# ensure uses the engine that is there: DOCKER_HOST, the default socket, or
# whatever socket a dockerd on this machine listens at. Where there is none it
# installs Debian's docker.io and starts it: with systemd where that runs, else
# by itself. An engine of the last kind keeps its images and its log under DIR;
# its socket and its pid are in /run/berth-engine, because the path of a socket
# may have only 108 characters, and because two engines of one machine would
# fight over the bridge and the firewall: there is one at a time, whoever
# started it.
#
# --for PID says that the process uses the engine, --keep that it shall stay.
# stop ends an engine that ensure started by itself, when nobody uses it any
# more; it leaves every other alone. clean does the same and removes DIR. Calls
# may overlap: a lock puts them in order.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

run=${BERTH_ENGINE_RUN:-/run/berth-engine}
default_socket=${BERTH_ENGINE_DEFAULT:-/var/run/docker.sock}
patience=${BERTH_ENGINE_PATIENCE:-90} # seconds until a started engine must answer
host=unix://$run/docker.sock

# answers HOST: whether an engine answers there. Asking needs no docker client.
answers() {
  local url=$1 said
  case $url in
    unix://*)
      [ -S "${url#unix://}" ] || return 1
      said=$(curl -s -m 5 --unix-socket "${url#unix://}" http://engine/_ping 2>/dev/null) || return 1
      ;;
    tcp://*)
      said=$(curl -s -m 5 --noproxy '*' "http://${url#tcp://}/_ping" 2>/dev/null) || return 1
      ;;
    *) return 1 ;;
  esac
  [ "$said" = OK ]
}

# dockerds: the pids of the engines that share our network.
dockerds() {
  local comm pid
  for comm in /proc/[0-9]*/comm; do
    pid=${comm#/proc/}
    pid=${pid%/comm}
    [ "$(cat "$comm" 2>/dev/null)" = dockerd ] || continue
    [ "$(readlink "/proc/$pid/ns/net" 2>/dev/null)" = "$(readlink /proc/self/ns/net)" ] || continue
    echo "$pid"
  done
}

# listens PID: the addresses that a dockerd was told to listen at.
listens() {
  local word before=
  while IFS= read -r -d '' word; do
    case $word in
      --host=*) echo "${word#--host=}" ;;
      -H=*) echo "${word#-H=}" ;;
      -Hunix* | -Htcp*) echo "${word#-H}" ;;
      *) case $before in -H | --host) echo "$word" ;; esac ;;
    esac
    before=$word
  done <"/proc/$1/cmdline" 2>/dev/null || true
}

# find_engine: prints the host of an engine that answers already.
find_engine() {
  local candidate pid
  if [ -n "${DOCKER_HOST:-}" ]; then # whoever names one means that one
    answers "$DOCKER_HOST" && echo "$DOCKER_HOST"
    return
  fi
  for candidate in "unix://$default_socket" "$host"; do
    if answers "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  for pid in $(dockerds); do
    for candidate in $(listens "$pid"); do
      if answers "$candidate"; then
        echo "$candidate"
        return
      fi
    done
  done
  return 1
}

# await HOST PID: waits until the engine answers; gives up when PID ends ("-"
# looks at no process) or our patience does.
await() {
  local until=$((SECONDS + patience))
  while [ "$SECONDS" -lt "$until" ]; do
    answers "$1" && return
    [ "$2" = - ] || [ -d "/proc/$2" ] || return 1
    sleep 0.2
  done
  return 1
}

own_pid() { # our engine's pid; fails when it doesn't run
  local pid
  pid=$(cat "$run/docker.pid" 2>/dev/null) || return 1
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$host" || return 1
  echo "$pid"
}

# mount_cgroups: a container's limits need control groups, which systemd mounts
# elsewhere. Where nobody did, the unified hierarchy, or one for each controller
# on a kernel that still gives memory to the old kind. Of the old kind all are
# mounted: while one is missing, the engine is not told when memory ran out.
mount_cgroups() {
  [ -d /sys/fs/cgroup ] || return 0
  grep -qE ' /sys/fs/cgroup cgroup2 ' /proc/mounts && return 0
  if ! grep -qE ' /sys/fs/cgroup/[^ ]* cgroup ' /proc/mounts; then
    if mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null; then
      grep -qw memory /sys/fs/cgroup/cgroup.controllers && return 0
      umount /sys/fs/cgroup
    fi
    mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup || return 0
  fi
  local name
  awk '$4 == 1 { print $1 }' /proc/cgroups | while read -r name; do
    ! grep -qE " cgroup ([^ ]*,)?$name(,| )" /proc/mounts || continue
    mkdir -p "/sys/fs/cgroup/$name" 2>/dev/null || continue
    mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" 2>/dev/null || rmdir "/sys/fs/cgroup/$name"
  done
}

# free_cgroup_root: inside a container with the unified hierarchy our own
# processes sit in the group that should hand out controllers; the kernel
# refuses that for any group but the machine's root. They move one level down.
free_cgroup_root() {
  local root=/sys/fs/cgroup pid pids
  [ -f $root/cgroup.type ] && [ -f $root/cgroup.procs ] || return 0
  mkdir -p $root/berth-init || return 0
  mapfile -t pids <$root/cgroup.procs
  for pid in "${pids[@]}"; do
    echo "$pid" >$root/berth-init/cgroup.procs 2>/dev/null || true # a kernel thread, or it ended
  done
}

# firewall_path: a folder to put before the PATH, for kernels that know only
# the older of Debian's two iptables.
firewall_path() {
  iptables -w -t nat -S >/dev/null 2>&1 && return
  have iptables-legacy && iptables-legacy -w -t nat -S >/dev/null 2>&1 || return 0
  mkdir -p "$run/bin"
  local name
  for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf "$(command -v "${name/tables/tables-legacy}")" "$run/bin/$name"
  done
  echo "$run/bin:"
}

# start_own STATE: an engine of ours, in a session of its own, so that Ctrl-C in
# the terminal does not end it. Which storage driver works on this file system
# is for dockerd to find out.
start_own() {
  local state=$1 pid extra
  mkdir -p "$state/data" "$run/exec"
  chmod 0711 "$state" "$state/data" "$run"
  rm -f "$run/docker.pid" "$run/docker.sock"
  rm -rf "$run/users"
  echo '{}' >"$state/daemon.json" # not the machine's: its settings are for another engine
  mount_cgroups
  free_cgroup_root
  extra=$(firewall_path)
  say "starting a Docker Engine; its images and its log are in $state"
  [ ! -e "$state/dockerd.log" ] || mv -f "$state/dockerd.log" "$state/dockerd.log.1"
  PATH="$extra$PATH" DOCKER_HOST='' setsid dockerd --config-file "$state/daemon.json" \
    --log-level warn --data-root "$state/data" --exec-root "$run/exec" --pidfile "$run/docker.pid" --host "$host" \
    </dev/null >"$state/dockerd.log" 2>&1 9>&- &
  pid=$!
  disown
  await "$host" "$pid" && return
  say "the Docker Engine did not start; the end of $state/dockerd.log:"
  shown "$state/dockerd.log" 25
  [ ! -d "/proc/$pid" ] || kill "$pid"
  exit 1
}

systemd_runs() { [ -d /run/systemd/system ]; }

# start STATE: starts an engine, installing it first when there is none.
start() {
  local others installed=
  if ! have dockerd; then
    apt_install docker.io iptables ca-certificates
    installed=1
  elif ! have iptables; then
    apt_install iptables
  fi
  # The package, or the machine's own scripts, may have started it by now.
  if [ -n "$installed" ] && [ -d "/proc/$(cat /var/run/docker.pid 2>/dev/null || echo none)" ]; then
    await "unix://$default_socket" - && echo "unix://$default_socket" && return
  fi
  if systemd_runs; then
    say "starting the machine's Docker Engine (systemctl start docker)"
    systemctl start docker >&2 || true
    if await "unix://$default_socket" -; then
      echo "unix://$default_socket"
      return
    fi
    say "the Docker Engine did not start; journalctl -u docker says:"
    journalctl -q -n 20 --no-pager -u docker >&2 || true
    exit 1
  fi
  others=$(dockerds | tr '\n' ' ')
  [ -z "$others" ] || die "a dockerd runs here (pid ${others% }) but does not answer; a second one would break its networks. End it, or say where it answers with DOCKER_HOST"
  start_own "$1" >&2
  echo "$host"
}

# sign WHO: writes down who uses our own engine (a pid, "keep", or nobody).
sign() {
  [ -n "$1" ] || return 0
  mkdir -p "$run/users"
  : >"$run/users/$1"
}

lock() {
  mkdir -p "$run"
  exec 9>"$run/lock"
  flock 9
}

ensure() {
  local state=$1 who=$2 found
  [ -n "$state" ] || die "usage: engine.sh ensure --state DIR [--for PID | --keep]"
  # Somebody else's engine needs nothing from us, not even root. Ours may be
  # handed on in DOCKER_HOST too: then its use is written down below.
  if found=$(find_engine) && [ "$found" != "$host" ]; then
    echo "$found"
    return
  fi
  if [ "$(id -u)" != 0 ]; then
    as_root env "DOCKER_HOST=${DOCKER_HOST:-}" bash "$here/engine.sh" ensure --state "$state" ${who:+--for "$who"}
    return
  fi
  if [ -n "${DOCKER_HOST:-}" ] && [ "$DOCKER_HOST" != "$host" ]; then
    die "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST (unix:// and tcp:// are understood); start it, or unset DOCKER_HOST"
  fi
  lock
  found=$(find_engine) || found=$(start "$state")
  [ "$found" != "$host" ] || sign "$who"
  echo "$found"
}

stop() {
  local who=$1 pid user
  [ -d "$run/users" ] || [ -e "$run/docker.pid" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    as_root bash "$here/engine.sh" stop ${who:+--for "$who"}
    return
  fi
  lock
  [ -z "$who" ] || rm -f "$run/users/$who"
  for user in "$run"/users/*; do
    [ -e "$user" ] || continue
    user=${user##*/}
    if [ "$user" = keep ] || [ -d "/proc/$user" ]; then
      return 0
    fi
    rm -f "$run/users/$user"
  done
  pid=$(own_pid) || return 0
  say "stopping the Docker Engine that was started here"
  kill "$pid"
  local until=$((SECONDS + 60))
  while [ -d "/proc/$pid" ] && [ "$SECONDS" -lt "$until" ]; do sleep 0.2; done
  [ ! -d "/proc/$pid" ] || kill -KILL "$pid"
  rm -rf "$run/docker.pid" "$run/docker.sock" "$run/users"
}

clean() {
  local state=$1 pid
  [ -e "$state" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    as_root bash "$here/engine.sh" clean --state "$state"
    return
  fi
  stop ''
  if pid=$(own_pid) && tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$state/data"; then
    die "$state is in use by the Docker Engine that runs (pid $pid): left alone"
  fi
  rm -rf "$state"
}

main() {
  local verb=${1:-} state='' who=''
  shift || true
  while [ $# -gt 0 ]; do
    case $1 in
      --state)
        state=$(realpath -m "$2")
        shift 2
        ;;
      --for)
        who=$2
        shift 2
        ;;
      --keep)
        who=keep
        shift
        ;;
      *) die "unknown: $1" ;;
    esac
  done
  case $verb in
    ensure)
      need_curl
      ensure "$state" "$who"
      ;;
    stop) stop "$who" ;;
    clean) clean "${state:?}" ;;
    *) die "usage: engine.sh ensure --state DIR [--for PID | --keep] · stop [--for PID] · clean --state DIR" ;;
  esac
}

main "$@"
