#!/usr/bin/env bash
# Builds web/ into web/dist, which the server's build takes in. Does nothing where no source has changed since (50 ms).
#
#   scripts/build-web.sh          the pages
#   scripts/build-web.sh --deps   only what the pages and their tests depend on
set -euo pipefail
cd "$(dirname "$0")/../web"

command -v npm >/dev/null || { echo "build-web: there is no npm; scripts/install-packages.sh installs it" >&2; exit 1; }

# Exactly what the lock file says. No package may run scripts of its own: none of ours needs to.
locked=$(sha256sum package.json package-lock.json | sha256sum)
if [ "$(cat node_modules/.weir-locked 2>/dev/null)" != "$locked" ]; then
  echo "Installing web dependencies (npm ci)" >&2
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  echo "$locked" >node_modules/.weir-locked
fi
[ "${1:-}" != --deps ] || exit 0

sources=$(find . \( -name node_modules -o -name dist -o -name test-results -o -name tests \) -prune -o -type f -print0 |
  sort -z | xargs -0 sha256sum | sha256sum)
if [ "$(cat node_modules/.weir-built 2>/dev/null)" != "$sources" ] || [ ! -e dist/dashboard/index.html ] || [ ! -e dist/watch/index.html ]; then
  echo "Building the web pages" >&2
  npm run --silent build
  echo "$sources" >node_modules/.weir-built
fi
