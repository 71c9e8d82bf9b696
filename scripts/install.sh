#!/bin/sh
# Installs hypha-conda-worker: downloads the archive for this machine, checks its sum, and puts the executable into a
# directory of yours. Nothing else is written, no file of a shell is changed, and no rights are needed.
#
#   curl -fsSL https://github.com/amun-ai/hypha-conda-worker/releases/latest/download/install.sh | sh
#   sh install.sh [--version VERSION] [--dir DIR] [--base-url URL]
#
#   --version VERSION   for example 0.1.0; default: $HYPHA_CONDA_WORKER_VERSION, else the latest
#   --dir DIR           default: $INSTALL_DIR, else ~/.local/bin
#   --base-url URL      a mirror with latest/download/FILE and download/vVERSION/FILE, as GitHub has them;
#                       default: $HYPHA_CONDA_WORKER_DOWNLOAD_URL, else the project's releases
#
# An executable that is there already is replaced, in one step, only by one that is complete, has the right sum, and
# runs here. Exit codes: 0 installed, 1 not installed, 2 wrong usage.
set -eu

NAME=hypha-conda-worker
RELEASES=https://github.com/amun-ai/hypha-conda-worker/releases

say() { printf '%s\n' "$*"; }
die() {
  printf 'install: %s\n' "$*" >&2
  exit 1
}
usage() {
  printf 'install: %s\nusage: install.sh [--version VERSION] [--dir DIR] [--base-url URL]\n' "$1" >&2
  exit 2
}
has() { command -v "$1" >/dev/null 2>&1; }

# The archive of this machine's system and processor.
find_target() {
  _system=$(uname -s)
  _machine=$(uname -m)
  case $_system in
  Linux) ;;
  Darwin)
    # A translated shell says x86_64 on an arm64 machine.
    if [ "$_machine" = x86_64 ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" = 1 ]; then
      _machine=arm64
    fi
    ;;
  MINGW* | MSYS* | CYGWIN* | Windows_NT)
    die "On Windows take $NAME-x86_64-pc-windows-msvc.zip from $BASE"
    ;;
  *) die "There is no executable for $_system; $NAME runs on Linux, macOS and Windows" ;;
  esac
  case $_machine in
  x86_64 | amd64) _machine=x86_64 ;;
  aarch64 | arm64) _machine=aarch64 ;;
  *) die "There is no executable for $_machine processors; there are x86_64 and aarch64" ;;
  esac
  if [ "$_system" = Darwin ]; then
    TARGET=$_machine-apple-darwin
  else
    TARGET=$_machine-unknown-linux-gnu
  fi
}

# fetch URL FILE: says nothing unless it fails; a download that is cut off is a failure.
fetch() {
  if has curl; then
    curl --fail --silent --show-error --location --retry 2 --connect-timeout 30 --output "$2" "$1"
  else
    wget --quiet --tries=3 --timeout=60 --output-document="$2" "$1" || {
      _code=$?
      # wget says nothing of its own when it is quiet.
      printf 'wget: exit code %s\n' "$_code" >&2
      return "$_code"
    }
  fi
}

sum_of() {
  if has sha256sum; then
    sha256sum <"$1" | cut -c 1-64
  elif has shasum; then
    shasum -a 256 <"$1" | cut -c 1-64
  else
    openssl dgst -sha256 -r <"$1" | cut -c 1-64
  fi
}

main() {
  WANTED=${HYPHA_CONDA_WORKER_VERSION:-latest}
  DIRECTORY=${INSTALL_DIR:-}
  BASE=${HYPHA_CONDA_WORKER_DOWNLOAD_URL:-$RELEASES}
  while [ $# -gt 0 ]; do
    case $1 in
    --version | --dir | --base-url)
      [ $# -gt 1 ] && [ -n "$2" ] || usage "$1 needs a value"
      _option=$1=$2
      shift
      ;;
    *) _option=$1 ;;
    esac
    shift
    case $_option in
    --version=?*) WANTED=${_option#*=} ;;
    --dir=?*) DIRECTORY=${_option#*=} ;;
    --base-url=?*) BASE=${_option#*=} ;;
    -h | --help)
      say "usage: install.sh [--version VERSION] [--dir DIR] [--base-url URL]"
      say "Variables: HYPHA_CONDA_WORKER_VERSION, INSTALL_DIR, HYPHA_CONDA_WORKER_DOWNLOAD_URL."
      say "Default: the latest version, into ~/.local/bin."
      return
      ;;
    *) usage "unknown argument $_option" ;;
    esac
  done
  if [ -z "$DIRECTORY" ]; then
    [ -n "${HOME:-}" ] || die "HOME is not set: say where to install with --dir DIR"
    DIRECTORY=$HOME/.local/bin
  fi
  WANTED=${WANTED#v}
  case $WANTED in *[!0-9A-Za-z.+-]*) usage "$WANTED is no version" ;; esac
  BASE=${BASE%/}
  has curl || has wget || die "curl or wget is needed"
  has sha256sum || has shasum || has openssl || die "sha256sum, shasum or openssl is needed to check the download"
  if ! has tar || ! has gzip; then die "tar and gzip are needed"; fi
  find_target

  case $DIRECTORY in /*) ;; *) DIRECTORY=$(pwd)/$DIRECTORY ;; esac
  WORK=
  MADE=
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if [ ! -d "$DIRECTORY" ]; then
    # What is made here and not used is removed again, up to the first directory that was there.
    MADE=$DIRECTORY
    while [ ! -d "$(dirname "$MADE")" ]; do MADE=$(dirname "$MADE"); done
    mkdir -p "$DIRECTORY" 2>/dev/null || die "Cannot make $DIRECTORY: choose a directory you may write to with --dir DIR"
  fi
  # In the directory itself, so that the last step is a rename and never half done.
  WORK=$(mktemp -d "$DIRECTORY/.$NAME-XXXXXX" 2>/dev/null) ||
    die "Cannot write to $DIRECTORY: choose a directory you may write to with --dir DIR"

  if [ "$WANTED" = latest ]; then
    _from=$BASE/latest/download
  else
    _from=$BASE/download/v$WANTED
  fi
  _archive=$NAME-$TARGET.tar.gz
  say "Downloading $_from/$_archive"
  fetch "$_from/SHA256SUMS" "$WORK/SHA256SUMS" ||
    die "Cannot download $_from/SHA256SUMS: is there a version $WANTED, and can the address be reached?"
  # Two spaces, or a space and a star, stand between sum and name.
  _expected=$(sed -n "s/^\([0-9a-fA-F]\{64\}\) [ *]$_archive\$/\1/p" "$WORK/SHA256SUMS" | head -n 1 | tr 'A-F' 'a-f')
  [ -n "$_expected" ] || die "$_from/SHA256SUMS has no sum of $_archive: version $WANTED is not made for this machine"
  fetch "$_from/$_archive" "$WORK/$_archive" || die "Cannot download $_from/$_archive"
  _sum=$(sum_of "$WORK/$_archive")
  [ "$_sum" = "$_expected" ] || die "$_archive is damaged or not the one that was released: its sha256 is $_sum, expected $_expected. Nothing is installed."
  (cd "$WORK" && gzip -d -c "$_archive" | tar -xf - "./$NAME") || die "There is no $NAME in $_archive"
  chmod 755 "$WORK/$NAME"
  _version=$("$WORK/$NAME" --version 2>"$WORK/errors") || {
    sed 's/^/  /' "$WORK/errors" >&2
    die "$NAME does not run on this machine (on Linux it needs glibc, which Alpine does not have). Nothing is installed."
  }
  _before=
  if [ -e "$DIRECTORY/$NAME" ]; then
    [ ! -d "$DIRECTORY/$NAME" ] || die "$DIRECTORY/$NAME is a directory"
    _before=$("$DIRECTORY/$NAME" --version 2>/dev/null || true)
    _before=" (it replaces ${_before:-another file})"
  fi
  mv -f "$WORK/$NAME" "$DIRECTORY/$NAME" || die "Cannot write $DIRECTORY/$NAME"
  MADE=
  say "Checked sha256 $_sum"
  say "Installed $_version as $DIRECTORY/$NAME$_before"
  case ":${PATH:-}:" in
  *":$DIRECTORY:"*)
    _first=$(command -v "$NAME" || true)
    [ "$_first" = "$DIRECTORY/$NAME" ] || say "Note: $_first comes first on PATH."
    ;;
  *) say "It is not on PATH yet. In your shell's start file: export PATH=\"$DIRECTORY:\$PATH\"" ;;
  esac
  say "Next: $NAME doctor"
}

# Leaves nothing of an installation that has failed: also no directories that were made for it.
clean_up() {
  [ -z "$WORK" ] || rm -rf "$WORK"
  [ -n "$MADE" ] || return 0
  _empty=$DIRECTORY
  while :; do
    rmdir "$_empty" 2>/dev/null || true
    [ "$_empty" != "$MADE" ] || break
    _empty=$(dirname "$_empty")
  done
}

# All of it is read before any of it runs, also when the script itself is cut off on its way into `sh`.
main "$@"
