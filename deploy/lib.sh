# shellcheck shell=bash
# What the scripts of this folder share. Source it; it runs nothing by itself.
# Messages go to stderr: stdout is for answers that a caller reads.

# Root's PATH is often shorter than an administrator's: sudo cuts it, and a
# plain user's lacks the sbin folders where iptables and dockerd are.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND…: the command as root, through sudo when we aren't root.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "this needs root: run it as root, or install sudo (wanted: $*)"
  fi
}

# shown LOG [LINES]: the end of a log, indented, on stderr.
shown() {
  [ -s "$1" ] || return 0
  tail -n "${2:-20}" "$1" | sed 's/^/    /' >&2
}

# apt_install PACKAGE…: installs Debian packages without asking anything, and
# only those named and what they depend on.
apt_install() {
  have apt-get || die "missing: $*. This machine has no apt-get; install them by its own means and try again"
  say "installing with apt-get: $*"
  local log
  log=$(mktemp)
  # A broken third-party list must not keep us from Debian's own packages: the
  # update may fail, the installation may not. A fresh machine often installs
  # its own updates meanwhile: wait for that.
  as_root apt-get -q update -o DPkg::Lock::Timeout=300 >"$log" 2>&1 || true
  if ! as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" \
    </dev/null >>"$log" 2>&1; then
    say "apt-get could not install: $*"
    shown "$log" 25
    rm -f "$log"
    exit 1
  fi
  rm -f "$log"
}

# need COMMAND PACKAGE…: the packages, when the command is missing.
need() {
  local command=$1
  shift
  have "$command" || apt_install "$@"
}

# compiles: whether the C compiler that Go will call makes a program. A
# compiler without the C library's headers is as good as none.
compiles() {
  local out status=0
  out=$(mktemp)
  printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
    ${CC:-gcc} -x c -o "$out" - >/dev/null 2>&1 || status=1
  rm -f "$out"
  return "$status"
}

need_compiler() {
  compiles && return
  apt_install gcc libc6-dev
  compiles || die "the C compiler (${CC:-gcc}) does not work; SQLite needs one"
}

need_curl() { need curl curl ca-certificates; }

need_go() {
  have go || die "Go is not on the PATH; install the version that go.mod names, or a newer one"
}
