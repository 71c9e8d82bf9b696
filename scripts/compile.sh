#!/usr/bin/env bash
# Compiles the program for one platform or for all, and packs what a release consists of.
#
#   scripts/compile.sh [--output DIR] [--bare] [TARGET...]
#
#   TARGET         x86_64-unknown-linux-gnu, aarch64-apple-darwin, ... or linux-x64, macos-arm64, ...; default: all five
#   --output DIR   where the files go; default: dist. What is in it stays, but for files of the same names
#   --bare         executables only, with neither archives nor sums
#   --list         prints the targets
#
# For every target there is hypha-conda-worker-TARGET.tar.gz (.zip for Windows) with the executable, the licence and
# the README in it; SHA256SUMS has the sums of all archives in the directory. The version is that of deno.json, the
# permissions are those of its `compile` task: both are baked in.
#
# An executable is Deno's run-time (denort) with the program behind it. The run-time comes from, in this order:
#   DENORT_BIN     a file, for exactly one target
#   DENORT_DIR     a directory with denort-TARGET.zip, as they are published, or denort-TARGET[.exe]
#   DENORT_URL     where denort-TARGET.zip is downloaded from, with the .sha256sum beside it, which is checked; the
#                  default is Deno's own place. Downloads are kept in .tools/denort/, and used without a network later.
# DENORT_BIN or DENORT_DIR need no network at all, once the packages of deno.lock are in Deno's cache.
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/env.sh
. "$ROOT/scripts/env.sh"

NAME=hypha-conda-worker
TARGETS="x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-apple-darwin aarch64-apple-darwin x86_64-pc-windows-msvc"

say() { printf 'compile: %s\n' "$*" >&2; }
die() {
  printf 'compile: %s\n' "$*" >&2
  exit 1
}
usage() {
  printf 'compile: %s\nusage: scripts/compile.sh [--output DIR] [--bare] [TARGET...]; targets: %s\n' "$1" "$TARGETS" >&2
  exit 2
}

# The triple of a target that may be given by its short name.
triple() {
  case $1 in
  linux-x64 | linux-amd64) echo x86_64-unknown-linux-gnu ;;
  linux-arm64) echo aarch64-unknown-linux-gnu ;;
  macos-x64) echo x86_64-apple-darwin ;;
  macos-arm64) echo aarch64-apple-darwin ;;
  windows-x64) echo x86_64-pc-windows-msvc ;;
  *)
    case " $TARGETS " in
    *" $1 "*) echo "$1" ;;
    *) return 1 ;;
    esac
    ;;
  esac
}

OUTPUT=$ROOT/dist
BARE=
CHOSEN=
while [ $# -gt 0 ]; do
  case $1 in
  --output)
    [ $# -gt 1 ] || usage "--output needs a directory"
    OUTPUT=$2
    shift
    ;;
  --output=*) OUTPUT=${1#*=} ;;
  --bare) BARE=1 ;;
  --list)
    printf '%s\n' "$TARGETS" | tr ' ' '\n'
    exit 0
    ;;
  -h | --help)
    sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0"
    exit 0
    ;;
  -*) usage "unknown option $1" ;;
  *)
    _one=$(triple "$1") || usage "unknown target $1"
    case " $CHOSEN " in *" $_one "*) ;; *) CHOSEN="$CHOSEN $_one" ;; esac
    ;;
  esac
  shift
done
CHOSEN=${CHOSEN:-$TARGETS}
# shellcheck disable=SC2086 # words are what is counted
set -- $CHOSEN

[ -n "$DENO" ] || die "Deno $DENO_MINIMUM or newer is needed: run scripts/setup.sh deno"
VERSION=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$ROOT/deno.json")
[ -n "$VERSION" ] || die "Cannot find the version in deno.json"
DENO_VERSION=$("$DENO" --version | sed -n 's/^deno \([^ ]*\).*/\1/p')
[ -z "${DENORT_BIN:-}" ] || [ $# -eq 1 ] ||
  die "DENORT_BIN is the run-time of one platform: name the target, or set DENORT_DIR for several"

if command -v sha256sum >/dev/null; then
  sums() { sha256sum -- "$@"; }
elif command -v shasum >/dev/null; then
  sums() { shasum -a 256 -- "$@"; }
else
  die "sha256sum or shasum is needed"
fi

mkdir -p "$OUTPUT" || die "Cannot make $OUTPUT"
OUTPUT=$(cd "$OUTPUT" && pwd)
# Beside the result, so that what is complete can be moved into place; gone however the run ends.
WORK=$(mktemp -d "$OUTPUT/.compile-XXXXXX") || die "Cannot write to $OUTPUT"
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# unzip_one ARCHIVE FILE DIRECTORY
unzip_one() {
  if command -v unzip >/dev/null; then
    unzip -q -o "$1" "$2" -d "$3"
  elif command -v python3 >/dev/null; then
    python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(sys.argv[2], sys.argv[3])' "$@"
  else
    die "unzip or python3 is needed for $1"
  fi
}

download() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
  elif command -v wget >/dev/null; then
    wget --quiet --tries=3 --output-document="$2" "$1"
  else
    die "curl or wget is needed to download the run-time; or set DENORT_BIN or DENORT_DIR"
  fi
}

# The sum in a .sha256sum file: as sha256sum writes it, or as PowerShell does, which is what Deno has for Windows.
published_sum() {
  tr -d '\r\000' <"$1" | grep -o -i -E '(^|[^0-9a-f])[0-9a-f]{64}($|[^0-9a-f])' | grep -o -i -E '[0-9a-f]{64}' |
    head -n 1 | tr 'A-F' 'a-f'
}

# run_time TARGET: sets RUN_TIME to its denort.
run_time() {
  _file=denort
  case $1 in *windows*) _file=denort.exe ;; esac
  _zip=denort-$1.zip
  if [ -n "${DENORT_BIN:-}" ]; then
    RUN_TIME=$DENORT_BIN
    [ -f "$RUN_TIME" ] || die "DENORT_BIN is $RUN_TIME, which is not there"
    return
  fi
  if [ -n "${DENORT_DIR:-}" ]; then
    for RUN_TIME in "$DENORT_DIR/denort-$1" "$DENORT_DIR/denort-$1.exe"; do
      if [ -f "$RUN_TIME" ]; then return; fi
    done
    [ -f "$DENORT_DIR/$_zip" ] || die "There is neither $_zip nor denort-$1 in $DENORT_DIR (DENORT_DIR)"
    _archive=$DENORT_DIR/$_zip
  else
    _kept=$TOOLS/denort/$DENO_VERSION
    _archive=$_kept/$_zip
    if [ ! -f "$_archive" ]; then
      _url=${DENORT_URL:-https://dl.deno.land/release/v$DENO_VERSION}
      _url=${_url%/}/$_zip
      say "downloading $_url"
      download "$_url" "$WORK/$_zip" || die "Cannot download $_url; without a network set DENORT_BIN or DENORT_DIR"
      download "$_url.sha256sum" "$WORK/$_zip.sha256sum" || die "Cannot download $_url.sha256sum, which says what is right"
      _expected=$(published_sum "$WORK/$_zip.sha256sum")
      _got=$(sums "$WORK/$_zip" | cut -c 1-64)
      [ -n "$_expected" ] && [ "$_expected" = "$_got" ] ||
        die "$_url is not what its .sha256sum says: expected ${_expected:-nothing}, received $_got"
      mkdir -p "$_kept"
      mv "$WORK/$_zip" "$_archive"
    fi
  fi
  rm -rf "$WORK/denort"
  mkdir "$WORK/denort"
  unzip_one "$_archive" "$_file" "$WORK/denort" || die "There is no $_file in $_archive"
  RUN_TIME=$WORK/denort/$_file
}

# The time in archives: that of the last commit, so that the same sources make the same archives.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 0)
fi

# pack DIRECTORY ARCHIVE: the files of the directory, without it.
pack() {
  case $2 in
  *.zip)
    if command -v zip >/dev/null; then
      (cd "$1" && zip -q -X "$2" ./*)
    elif command -v python3 >/dev/null; then
      (cd "$1" && python3 -m zipfile -c "$2" ./*)
    else
      die "zip or python3 is needed for $2"
    fi
    ;;
  *)
    set -- "$1" "$2" --format=ustar
    # Other kinds of tar have no such options, and make archives that differ from run to run.
    if tar --version 2>/dev/null | grep -q GNU; then
      set -- "$@" --sort=name --owner=0 --group=0 --numeric-owner "--mtime=@$SOURCE_DATE_EPOCH"
    fi
    _from=$1
    _to=$2
    shift 2
    (cd "$_from" && tar "$@" -cf - ./*) | gzip -n -9 >"$_to"
    ;;
  esac
}

for TARGET in "$@"; do
  run_time "$TARGET"
  EXECUTABLE=$NAME
  ARCHIVE=$NAME-$TARGET.tar.gz
  SUFFIX=
  case $TARGET in *windows*)
    SUFFIX=.exe
    EXECUTABLE=$NAME.exe
    ARCHIVE=$NAME-$TARGET.zip
    ;;
  esac
  STAGE=$WORK/$TARGET
  mkdir "$STAGE"
  (cd "$ROOT" && DENORT_BIN=$RUN_TIME "$DENO" task --quiet compile --frozen --target "$TARGET" --output "$STAGE/$EXECUTABLE" main.ts </dev/null) ||
    die "Deno cannot compile for $TARGET; its own message is above"
  [ -s "$STAGE/$EXECUTABLE" ] || die "Deno has made nothing for $TARGET"
  chmod 755 "$STAGE/$EXECUTABLE"
  if [ -n "$BARE" ]; then
    RESULT=$NAME-$TARGET$SUFFIX
    mv -f "$STAGE/$EXECUTABLE" "$OUTPUT/$RESULT"
  else
    RESULT=$ARCHIVE
    cp "$ROOT/LICENSE" "$ROOT/README.md" "$STAGE/"
    chmod 644 "$STAGE/LICENSE" "$STAGE/README.md"
    touch -d "@$SOURCE_DATE_EPOCH" "$STAGE"/* 2>/dev/null || true
    pack "$STAGE" "$WORK/$ARCHIVE"
    mv -f "$WORK/$ARCHIVE" "$OUTPUT/$ARCHIVE"
  fi
  rm -rf "$STAGE"
  say "$RESULT ($NAME $VERSION, Deno $DENO_VERSION)"
done

[ -z "$BARE" ] || exit 0
# Also for archives of other runs, such as those of another machine.
(cd "$OUTPUT" && sums $NAME-*.tar.gz $NAME-*.zip 2>/dev/null) >"$WORK/SHA256SUMS" || true
[ -s "$WORK/SHA256SUMS" ] || die "Cannot write the sums"
mv -f "$WORK/SHA256SUMS" "$OUTPUT/SHA256SUMS"
say "SHA256SUMS"
