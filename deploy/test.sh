#!/usr/bin/env bash
# make test, make test-faults, make bench, make journeys and make screenshots: sees
# to a Docker Engine, runs go test and the panel's journeys against it, and stops
# the engine again if it was started here. The exit code is 0 only if everything
# passed; what didn't is named in the last line.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

mode=${1:-test}
pkg=${PKG:-./...}
read -r -a more <<<"${TEST_FLAGS:-}"

# Everything that installs comes first, so that nothing fails late for want of it.
# debootstrap makes the image of a real server without asking a registry.
case $mode in
  journeys | screenshots) "$here/need.sh" curl network node glewlwyd nginx registry chromium ;;
  test) "$here/need.sh" go compiler curl debootstrap network filesystems ssh node glewlwyd nginx registry chromium ;;
  *) "$here/need.sh" go compiler curl debootstrap network filesystems ssh node glewlwyd nginx registry ;;
esac

trap '"$here/engine.sh" stop --for $$' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# In a session of its own the engine outlives us: the EXIT trap ends it.
host=$("$here/engine.sh" ensure --state .cache/engine --for $$)
say "the Docker Engine at $host answers"
case $mode in
  screenshots) ;;
  # The fault program and a journey run engines of their own, also where the one above is another machine's.
  *) "$here/need.sh" dockerd ;;
esac

# A test that wants Docker may skip elsewhere; here that is a failure.
export BERTH_TEST_DOCKER=required
export BERTH_TEST_DOCKER_HOST=$host

# The tests give files to other users and talk to the engine, which takes root.
# Compiling doesn't, and must not leave root's files in this user's caches.
as_user=()
root=()
if [ "$(id -u)" != 0 ]; then
  have sudo || die "the tests need root: run make as root, or install sudo"
  mkdir -p .cache/root
  root=(sudo -E)
  as_user=(-exec "sudo -E env 'PATH=$PATH' 'GOCACHE=$PWD/.cache/root' GOFLAGS=-buildvcs=false")
fi

failed=()

# Agents that the tests start have the first process of containers inside.
case $mode in journeys | screenshots) ;; *) "$here/supervisor.sh" ;; esac

# in_browser journeys|screenshots: Chromium, the programs in bin, and the engine.
in_browser() {
  BERTH_TEST_BIN=$PWD/bin "${root[@]}" "$here/web.sh" "$1"
}

case $mode in
  test)
    # What make verify tests is among the packages below: only its files are
    # looked at here. All of it runs even when one part fails.
    make --no-print-directory lint >&2 || failed+=(lint)
    make --no-print-directory verify-files >&2 || failed+=(verify)
    # The panel first: the controller that the tests start has it inside.
    "$here/web.sh" build lint types verify test >&2 || failed+=("the panel")
    # shellcheck disable=SC2086 # several packages may be named
    go test -race -count=1 -timeout "${TEST_TIMEOUT:-30m}" "${as_user[@]}" "${more[@]}" $pkg || failed+=("the tests")
    # Who names packages wants those alone.
    if [ "$pkg" = ./... ]; then
      { make --no-print-directory build && in_browser journeys; } >&2 || failed+=("the journeys")
    fi
    ;;
  faults)
    export BERTH_FAULTS_MINUTES=${MINUTES:-10} BERTH_FAULTS_SEED=${SEED:-}
    go test -race -v -count=1 -timeout 3h -run '^TestFaults$' "${as_user[@]}" "${more[@]}" ./controller/e2e/faults || failed+=("the faults")
    ;;
  bench)
    "$here/need.sh" chromium sshd
    export BERTH_TEST_BIN=$PWD/bin
    # shellcheck disable=SC2086
    go test -run '^$' -bench "${BENCH:-.}" -count=1 -timeout 30m "${as_user[@]}" "${more[@]}" $pkg |
      { grep -v -e '\[no test files\]$' -e '^PASS$' || true; } || failed+=("the benchmarks")
    ;;
  journeys | screenshots)
    in_browser "$mode" || failed+=("the $mode")
    ;;
  *) die "usage: test.sh test|faults|bench|journeys|screenshots" ;;
esac

if [ ${#failed[@]} -gt 0 ]; then
  say "failed: $(printf '%s, ' "${failed[@]}" | sed 's/, $//') (see above)"
  exit 1
fi
