#!/usr/bin/env bash
# Builds the server and starts it with a demo stream. Everything it keeps is in ./data (WEIR_DATA=DIR for another place); arguments go to `weir serve`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-packages.sh run
scripts/build-web.sh
cargo build --release --locked -p weir-server -p weir-worker
# exec: Ctrl-C and SIGTERM reach the server itself, which drains and ends.
exec target/release/weir serve --demo "$@"
