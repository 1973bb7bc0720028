#!/usr/bin/env bash
# The long fuzzing run: every target under fuzz/, with coverage feedback and address sanitizer, MINUTES (30) shared between them.
# It needs a nightly compiler and cargo-fuzz; `make test` has a short run of the same bodies that needs neither.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${MINUTES:-30}

scripts/install-packages.sh build
rustup toolchain list | grep -q '^nightly' || {
  echo "Installing the nightly compiler (the sanitizer needs it)" >&2
  rustup toolchain install nightly --profile minimal
}
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "Installing cargo-fuzz into .tools" >&2
  cargo install --quiet --root .tools --locked cargo-fuzz
  PATH="$PWD/.tools/bin:$PATH"
fi

mapfile -t targets < <(cargo +nightly fuzz list)
seconds=$((minutes * 60 / ${#targets[@]}))
failed=0
for target in "${targets[@]}"; do
  printf '\n== %s, %d s\n' "$target" "$seconds"
  mkdir -p "fuzz/corpus-run/$target"
  seeds=()
  [ -d "fuzz/seeds/$target" ] && seeds=("fuzz/seeds/$target")
  # What is found new goes to corpus-run (ignored by git); an input worth keeping is copied to seeds by hand.
  cargo +nightly fuzz run "$target" "fuzz/corpus-run/$target" "${seeds[@]}" -- \
    -max_total_time="$seconds" -rss_limit_mb=512 -timeout=5 -print_final_stats=1 || failed=$((failed + 1))
done
echo
echo "$((${#targets[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
