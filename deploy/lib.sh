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

# unserved SERVICE: ends what a package has just started, now and for ever: the tests
# run their own.
unserved() {
  if have systemctl; then
    as_root systemctl disable --now "$1" >/dev/null 2>&1 || true
  elif have service; then
    as_root service "$1" stop >/dev/null 2>&1 || true
  fi
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

# need_glewlwyd: a provider of OpenID Connect, of which the tests run their own. The
# package starts one for everybody, with a password that everybody knows: not here.
need_glewlwyd() {
  have glewlwyd && return
  apt_install glewlwyd
  unserved glewlwyd
}

# need_nginx: a proxy, of which the tests run their own, and what makes its
# certificate. The package starts one on port 80: not here.
need_nginx() {
  need openssl openssl
  have nginx && return
  apt_install nginx-light
  unserved nginx
}

# need_sshd: the server that make bench compares ours with, run by itself on the
# loopback. The package starts one for all: not here.
need_sshd() {
  have sshd && return
  apt_install openssh-server
  unserved ssh
}

# need_registry: a registry of images, of which the tests run their own. The
# package starts one on port 5000: not here.
need_registry() {
  have docker-registry && return
  apt_install docker-registry
  unserved docker-registry
}

need_curl() { need curl curl ca-certificates; }

need_go() {
  have go || die "Go is not on the PATH; install the version that go.mod names, or a newer one"
}

# The Node that we install where the system's is too old, and what builds the
# panel at least: Vite's own demand.
node_own=${BASH_SOURCE[0]%/*}/../.cache/node/node_modules
node_least=20.19
node_version=22.21.1

# node_fits COMMAND: whether it is a Node that can build the panel.
node_fits() {
  local version
  version=$("$1" --version 2>/dev/null) || return 1
  printf '%s\n%s\n' "$node_least" "${version#v}" | sort -C -V
}

# use_node: puts our own Node on the PATH when there is one.
use_node() {
  if ! node_fits node && [ -x "$node_own/.bin/node" ]; then
    PATH="$(cd "$node_own/.bin" && pwd):$PATH"
  fi
  mkdir -p "${BASH_SOURCE[0]%/*}/../.cache"
}

# need_node: Node and npm. Debian's where it is new enough; else Debian's old one
# fetches a newer from npm's registry, into .cache, for this checkout alone.
need_node() {
  use_node
  if node_fits node && have npm; then return; fi
  have npm || have apt-get || die "Node $node_least or newer, with npm, is missing, and there is no apt-get to install it with: install both by this machine's own means and try again"
  have npm || apt_install nodejs npm
  if node_fits node; then return; fi
  say "Node $(node --version 2>/dev/null) is older than $node_least: installing $node_version into .cache/node"
  mkdir -p "${node_own%/*}"
  npm install --no-audit --no-fund --loglevel=error --prefix "${node_own%/*}" "node@$node_version" npm@10.9.4 >&2 ||
    die "npm could not install Node $node_version; install Node $node_least or newer by your own means and try again"
  use_node
  node_fits node || die "the Node in .cache/node does not run; install Node $node_least or newer by your own means and try again"
}
