#!/usr/bin/env bash
# Builds the agent for every kind of machine that nodes may be, and puts the
# programs, compressed, where the controller is built with them inside. The one
# for this machine is also bin/berth-agent.
#
#   agents.sh VERSION LDFLAGS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$1 flags=$2
into=controller/release/agents
mine=$(go env GOHOSTARCH)

# The release's name comes last: without it a controller knows of no agents, so
# that a build that was cut off leaves no mixture.
rm -f $into/release
mkdir -p bin
deploy/supervisor.sh
for arch in amd64 arm64; do
  agent=bin/.berth-agent-linux-$arch
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags "$flags" -o "$agent" ./agent
  packed=$into/berth-agent-linux-$arch.gz
  # Without a name and a time in it the same program gives the same bytes.
  gzip -9nc "$agent" >"$packed.part"
  mv -f "$packed.part" "$packed"
  if [ $arch = "$mine" ]; then mv -f "$agent" bin/berth-agent; else rm -f "$agent"; fi
done
[ -x bin/berth-agent ] || CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o bin/berth-agent ./agent
echo "$version" >$into/release.part
mv -f $into/release.part $into/release
