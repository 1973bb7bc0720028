# The project's commands. Each works on a fresh Debian or Ubuntu machine that has only Rust: what else it needs it installs, and says so.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test test-long test-gpu build fuzz bench screenshots fmt

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, and start the server with a demo stream already live (Ctrl-C stops it)
	@scripts/run.sh

test: ## every check: format, lints, dependencies, Rust tests, end-to-end with real ffmpeg, nginx, GStreamer and Chromium
	@scripts/test.sh

test-long: ## the long forms of tests whose short forms `make test` runs (half an hour and more)
	@WEIR_LONG=1 scripts/test.sh

test-gpu: ## the tests that need an NVIDIA card: a ladder decoded, and where the card can encoded, on it
	@scripts/install-packages.sh test
	@scripts/build-web.sh
	cargo build --locked -p weir-worker
	cargo test --locked -p weir-server --test e2e gpu:: -- --ignored --nocapture

build: ## the release binaries, target/release/weir and target/release/weir-worker
	@scripts/install-packages.sh build
	@scripts/build-web.sh
	cargo build --release --locked -p weir-server -p weir-worker

fuzz: ## the long run of every fuzz target (MINUTES=30 in total by default)
	@scripts/fuzz.sh

bench: ## what a pushed second costs, beside nginx-rtmp and the floor (prints a table, writes benches/results/)
	@scripts/install-packages.sh bench
	@scripts/build-web.sh
	cargo build --release --locked -p weir-server -p weir-worker -p weir-benches
	target/release/weir-benches $(or $(BENCH),all)

screenshots: ## every page of the dashboard, dark and light, desktop and phone, into docs/screenshots
	@scripts/install-packages.sh test
	@scripts/build-web.sh
	cargo build --locked -p weir-server -p weir-worker
	WEIR_BIN=$${CARGO_TARGET_DIR:-$$PWD/target}/debug/weir npm --prefix web run --silent screenshots

fmt: ## format the sources
	cargo fmt --all
