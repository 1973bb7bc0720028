#!/usr/bin/env bash
# Installs the system packages that a task needs and this machine lacks, with apt.
#
#   scripts/install-packages.sh TASK      TASK = build | run | test | bench
#
# Says in one line what it installs and why. Where nothing is missing it only asks dpkg once (about 20 ms).
set -euo pipefail

task=${1:?usage: install-packages.sh build|run|test|bench}

# Every build: cc for the bundled SQLite and ring, certificates for crates.io.
# The worker is linked with GStreamer (plugins-bad has the library of its WebRTC), the server with libsrt: the GnuTLS flavour, which is the one that GStreamer and ffmpeg load.
build="build-essential pkg-config ca-certificates libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev libsrt-gnutls-dev"
# Builds the web pages. Asked of the machine and not of dpkg: npm often comes with a newer Node.js from elsewhere, and Debian's
# package would fight with that.
command -v npm >/dev/null || build="$build nodejs npm"
# What the worker decodes, scales and encodes with: base has the scalers, good the deinterlacer, bad the parsers and hardware
# encoders, ugly x264, libav the decoders and AAC; bad and nice have what the engine webrtcbin is made of.
plugins="gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-nice"
# The demo stream is made by ffmpeg.
run="ffmpeg $plugins"
# Independent peers of the end-to-end tests: publishers and sinks that are not ours.
# Chromium plays the streams in other people's players.
# jemalloc as Debian has it, so that tests need not compile ours.
# NVIDIA's headers (MIT licensed, no driver): the stub driver that the hardware encoders' tests build.
test="ffmpeg nginx libnginx-mod-rtmp srt-tools openssl curl procps chromium gstreamer1.0-tools libffmpeg-nvenc-dev libjemalloc-dev $plugins"
# The fan-out bench runs nginx-rtmp beside Weir, that of SRT srt-live-transmit; ffmpeg makes their source file, and is the
# transcoder's peer.
bench="ffmpeg nginx libnginx-mod-rtmp srt-tools curl $plugins"

case $task in
  build) wanted=$build why="to compile" ;;
  run)   wanted="$build $run" why="to compile, and to make the demo stream" ;;
  test)  wanted="$build $test" why="to compile, and as independent peers in the end-to-end tests" ;;
  bench) wanted="$build $bench" why="to compile, and as the peer that the fan-out bench is compared with" ;;
  *) echo "install-packages: unknown task '$task' (build, run, test or bench)" >&2; exit 2 ;;
esac

fail() {
  echo "install-packages: $1" >&2
  echo "install-packages: 'make $task' needs these packages: ${missing[*]}" >&2
  exit 1
}

missing=($(tr -s ' \n' '\n\n' <<<"$wanted" | sort -u))
if command -v dpkg-query >/dev/null; then
  # dpkg-query fails when a name is unknown to it; what it prints is right all the same.
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${missing[@]}" 2>/dev/null | awk '$2 == "installed" { print $1 }' || true)
  missing=($(comm -23 <(printf '%s\n' "${missing[@]}") <(sort -u <<<"$installed")))
fi
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || fail "this is not a Debian or Ubuntu machine (no apt-get): install what is listed by its own means"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "not root, and there is no sudo: run 'apt-get install ${missing[*]}' as root"
  as_root=(sudo)
fi

echo "Installing system packages ($why): ${missing[*]}" >&2
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@"; }
apt update >/dev/null || fail "'apt-get update' failed: is the network there?"
# nginx is wanted as a program only: the policy below keeps Debian's scripts from starting a web server on port 80.
no_start=/usr/sbin/policy-rc.d
if [[ " ${missing[*]} " == *" nginx "* ]] && [ ! -e $no_start ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $no_start >/dev/null
  "${as_root[@]}" chmod 755 $no_start
  trap '"${as_root[@]}" rm -f $no_start' EXIT
fi
apt install -y --no-install-recommends "${missing[@]}" >/dev/null || fail "'apt-get install' failed"
