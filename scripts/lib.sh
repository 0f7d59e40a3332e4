# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the scripts beside it: what Halyard needs from the system, and how it gets it.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

# package=probe: a command on PATH, the NAME.pc of a library, or a file (a pattern). A package is only looked for when
# its probe fails, so tools that were installed in another way (a newer node, say) are used as they are.
BUILD_PACKAGES=(
	gcc=gcc
	libc6-dev=/usr/include/stdio.h
	meson=meson
	ninja-build=ninja
	pkg-config=pkg-config
	python3=python3
	libcjson-dev=libcjson.pc
	libcmocka-dev=cmocka.pc
	libcurl4-openssl-dev=libcurl.pc
	libmicrohttpd-dev=libmicrohttpd.pc
	libpcre2-dev=libpcre2-8.pc
	libsodium-dev=libsodium.pc
	libsqlite3-dev=sqlite3.pc
	liburcu-dev=liburcu-bp.pc
	libxxhash-dev=libxxhash.pc
)
TEST_PACKAGES=(
	binutils=nm
	ca-certificates=/etc/ssl/certs/ca-certificates.crt
	clang=clang
	clang-format=clang-format
	clang-tidy=clang-tidy
	cppcheck=cppcheck
	faketime=faketime
	nodejs=node
	npm=npm
	util-linux=setarch
	wrk=wrk
)
BENCH_PACKAGES=(
	binutils=strip
	nodejs=node
	npm=npm
	util-linux=taskset
	wrk=wrk
)
# What the providers of other languages need; tests/integration has one test of each.
SDK_PACKAGES=(
	default-jdk-headless=javac
	maven=mvn
	python3-venv=/usr/lib/python3*/ensurepip/__init__.py
)
BROWSER_PACKAGES=(
	chromium=chromium
)
FUZZ_PACKAGES=(
	clang=clang
	libclang-rt-14-dev=/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a
)

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# Runs a command as root.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root or sudo is needed for: $*"
	fi
}

probe() {
	case $1 in
	/*) compgen -G "$1" >/dev/null ;;
	*.pc) command -v pkg-config >/dev/null && pkg-config --exists "${1%.pc}" ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# need PACKAGE=PROBE…: installs what is missing from Debian; does and says nothing when nothing is.
need() {
	local item missing=()
	for item; do
		probe "${item#*=}" || missing+=("${item%%=*}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "please install what these Debian packages hold: ${missing[*]}"
	echo "installing ${missing[*]}"
	mkdir -p build
	if ! { as_root apt-get -q update && as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qy --no-install-recommends install "${missing[@]}"; } >build/apt.log 2>&1 </dev/null; then
		tail -n 30 build/apt.log >&2
		die "apt-get could not install ${missing[*]}"
	fi
	for item; do
		probe "${item#*=}" || die "${item%%=*} is installed, but ${item#*=} is still not there"
	done
}

# want PACKAGE=PROBE…: as need, but what cannot be had is done without.
want() {
	(need "$@") || echo "going on without: ${*%%=*}; the tests that need them are skipped"
}

# need_node: node 18 or newer.
need_node() {
	need nodejs=node npm=npm
	[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ] || die "node 18 or newer is needed, found $(node --version)"
}

# need_promtool: the checker of metrics and alert rules, without Debian's package, which would start a server.
need_promtool() {
	export PATH="$ROOT/build/promtool/usr/bin:$PATH"
	! command -v promtool >/dev/null || return 0
	echo "fetching promtool"
	mkdir -p build/promtool
	(
		cd build/promtool
		apt-get -q download prometheus || { as_root apt-get -q update && apt-get -q download prometheus; }
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
		rm -f prometheus_*.deb
	) >build/apt.log 2>&1 </dev/null || { tail -n 30 build/apt.log >&2 && die "promtool could not be fetched"; }
}
