#!/usr/bin/env bash
# Every check, in the order in which a mistake is cheapest to hear about. All of them run even when one fails;
# the summary names each with its time, and the last line is `N passed, N failed`, tests and checks counted alike.
set -uo pipefail
cd "$(dirname "$0")/.."

# Same flags for every step, so that the dependency tree is compiled once. `--locked`: a test run never edits Cargo.lock.
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always}
# A folder of its own: a bare `cargo build`, with other flags, and this would build each other's dependencies anew.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/test}
# What would make the next build quicker costs this one a tenth.
export CARGO_INCREMENTAL=0
# Nobody steps through these binaries with a debugger; a panic names its file and line without it.
export CARGO_PROFILE_DEV_DEBUG=0
# One compiler pass for lints and tests: Clippy's driver stands in for rustc in our own crates and does all that rustc does, so that
# dependencies are compiled once. With `cargo clippy` they are checked first and then compiled for the tests: four minutes on two cores.
export RUSTC_WORKSPACE_WRAPPER=clippy-driver
# How `cargo clippy -- -D warnings` tells its driver.
export CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
passed=0 failed=0 rows=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

row() { # name, ok|FAILED, seconds, note
  rows+=("$(printf '  %-28s %-7s %5ds  %s' "$1" "$2" "$3" "$4")")
}

# One check counts as one test.
check() { # name, command...
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if "$@"; then
    passed=$((passed + 1)); row "$name" ok $((SECONDS - start)) ""
  else
    failed=$((failed + 1)); row "$name" FAILED $((SECONDS - start)) "$*"
  fi
}

# `make test-long`: tests that are marked `#[ignore = "long: ..."]` run as well; those of a GPU have a target of their own.
long_nextest=() long_cargo=()
if [ -n "${WEIR_LONG:-}" ]; then
  long_nextest=(--profile long --run-ignored all -E 'not test(/^gpu::/)')
  long_cargo=(-- --include-ignored --skip gpu::)
fi

# Rust tests: the runner's own counts are added to ours.
rust_tests() {
  local start=$SECONDS status p f
  printf '\n== Rust tests\n'
  if command -v cargo-nextest >/dev/null; then
    cargo nextest run --locked --workspace --no-fail-fast "${long_nextest[@]}" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    read -r p f < <(plain <"$log" | awk '/Summary \[/ { p = f = 0
      for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p = $(i - 1); if ($i ~ /^failed/ || $i ~ /^timed/) f += $(i - 1) } }
      END { print p + 0, f + 0 }')
  else
    # `--tests`, not the default: documentation examples are checked nowhere in this workspace, because there are none.
    cargo test --locked --workspace --tests --no-fail-fast "${long_cargo[@]}" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    read -r p f < <(plain <"$log" | awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }')
  fi
  # A build error runs no test at all: that is a failure too.
  [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
  [ "$status" -ne 0 ] || [ "$p" -gt 0 ] || { echo "no test ran"; f=1; }
  passed=$((passed + p)); failed=$((failed + f))
  row "Rust tests" "$([ "$f" -eq 0 ] && echo ok || echo FAILED)" $((SECONDS - start)) "$p passed, $f failed"
}
plain() { sed 's/\x1b\[[0-9;]*m//g'; }

dependencies() {
  # cargo-deny takes about as long to compile as Weir does, so it runs where it is installed and is not fetched. Its rules for licences,
  # sources and bans are enforced everywhere all the same: crates/server/tests/layers.rs reads the same deny.toml.
  cargo deny --locked check
}

browsers() { # the npm script
  # The binary that the Rust tests have just built.
  WEIR_BIN=$CARGO_TARGET_DIR/debug/weir npm --prefix web run --silent "$1"
}

check "system packages" scripts/install-packages.sh test
# jemalloc is a fifth of the whole build (150 s of CPU, most of it its configure script): Debian's of the same kind stands in for
# ours, with its own settings.
jemalloc=$(cc -print-file-name=libjemalloc_pic.a)
[ ! -e "$jemalloc" ] || export JEMALLOC_OVERRIDE=$jemalloc
check "web pages" scripts/build-web.sh
check "web types" npm --prefix web run --silent check
check "format" cargo fmt --all --check
check "lints and build" cargo test --locked --workspace --no-run
if command -v cargo-deny >/dev/null; then
  check "dependencies (cargo-deny)" dependencies
else
  row "dependencies (cargo-deny)" skipped 0 "not installed; tests/layers.rs holds deny.toml's licences, sources and bans"
fi
rust_tests
check "browsers: pages" browsers test:pages
check "browsers: what is measured" browsers test:measured

printf '\n== Summary\n'
printf '%s\n' "${rows[@]}"
printf '  %-28s %-7s %5ds\n\n' "in all" "" "$SECONDS"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
