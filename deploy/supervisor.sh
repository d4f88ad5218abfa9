#!/usr/bin/env bash
# Builds the first process of instances' containers, for every kind of machine that
# nodes may be, to where the agent is built with it inside.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for arch in amd64 arm64; do
  into=agent/supervisor/programs/$arch/init
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$into.part" ./agent/supervisor/init
  # As it was, unless it is another one: what is built with it inside isn't built anew.
  if cmp -s "$into.part" "$into"; then rm -f "$into.part"; else mv -f "$into.part" "$into"; fi
done
