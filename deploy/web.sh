#!/usr/bin/env bash
# The panel: web.sh build|dev|lint|types|verify|generate|test|journeys|screenshots|bench…, any of
# them one after the other. Node and what the panel is made of are installed as
# far as they are missing; the versions are those of web/package-lock.json.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

[ $# -gt 0 ] || die "usage: web.sh build|dev|lint|types|verify|generate|test|journeys|screenshots|bench"
"$here/need.sh" node
use_node
cd "$here/../web"

# One at a time: two would empty each other's folders.
exec 9>"../.cache/web.lock"
flock 9

# packages: what package-lock.json names, when something else is there. A
# registry that doesn't answer at once is asked again.
packages() {
  local want try
  want=$(sha256sum package-lock.json)
  [ "$(cat node_modules/.berth-lock 2>/dev/null)" != "$want" ] || return 0
  say "installing what the panel is made of"
  for try in 1 2 3; do
    if npm ci --no-audit --no-fund --fetch-retries=5 --loglevel=error >&2; then
      echo "$want" >node_modules/.berth-lock
      return 0
    fi
    [ "$try" = 3 ] || sleep $((try * 5))
  done
  die "npm could not install the panel's packages (see above). They come from npm's registry, or from the mirror that npm's configuration names: see to it that one answers, and try again"
}

# sources: a name for the state of everything that the built panel comes from.
sources() {
  find index.html package-lock.json vite.config.ts tsconfig.json public src -type f -print0 |
    sort -z | xargs -0 sha256sum | sha256sum
}

# build: the panel into dist/app, which the controller takes into itself; in one
# move, so that no half-built one is ever there.
build() {
  local now
  now=$(sources)
  if [ -f dist/app/index.html ] && [ "$(cat node_modules/.berth-built 2>/dev/null)" = "$now" ]; then
    return 0
  fi
  say "building the panel"
  rm -rf node_modules/.berth-app
  npx --no-install vite build --logLevel warn --outDir node_modules/.berth-app --emptyOutDir >&2
  rm -rf dist/app
  mv node_modules/.berth-app dist/app
  echo "$now" >node_modules/.berth-built
}

# verify: whether the committed types are those of the committed document.
verify() {
  local made
  made=$(mktemp)
  npx --no-install openapi-typescript ../docs/openapi.json -o "$made" --alphabetize >/dev/null
  if ! diff -q src/api/schema.ts "$made" >/dev/null; then
    rm -f "$made"
    die "web/src/api/schema.ts is not what docs/openapi.json says: run 'make generate'"
  fi
  rm -f "$made"
}

packages
for what in "$@"; do
  case $what in
    build) build ;;
    dev)
      flock -u 9
      npx --no-install vite --host 127.0.0.1
      ;;
    lint) npx --no-install eslint . --max-warnings 0 ;;
    types) npx --no-install tsc --noEmit ;;
    verify) verify ;;
    generate) npm run --silent generate ;;
    test)
      build
      npx --no-install vitest run
      ;;
    journeys)
      "$here/need.sh" chromium network glewlwyd nginx registry
      flock -u 9
      node --test-reporter=spec journeys/run.mjs
      ;;
    screenshots)
      "$here/need.sh" chromium
      flock -u 9
      node journeys/screenshots.mjs
      ;;
    bench) # controller/e2e calls it, and says what is to be measured
      flock -u 9
      node journeys/bench.mjs
      ;;
    *) die "nobody here knows what $what is" ;;
  esac
done
