#!/usr/bin/env bash
# Sets up and runs everything that checks the project: formatting, lint, types, tests.
#
#   scripts/test.sh [ARGUMENT...]     arguments go to `deno test`, such as a file or --filter NAME
#
# The last line is always "N passed, N failed"; a failed check and a run that breaks off count as failed.
set -u

ROOT=$(cd "$(dirname "$0")/.." && pwd)
cd "$ROOT" || exit 1
# Tests make and remove files by the hundred thousand, which takes ten times as long on many disks as in memory. Where
# this may mount, and there is room, their temporary files are in memory; nobody else sees it, and it goes with the last
# of these processes. (Deno lets nobody read below /dev, so /dev/shm would not do.)
if [ "${HYPHA_TEST_MEMORY:-}" = mounted ]; then
  TMPDIR=$(mktemp -d /tmp/t.XXXX)
  mount -t tmpfs -o size=10g,mode=1777 tests "$TMPDIR" && export TMPDIR || unset TMPDIR
elif [ -z "${TMPDIR:-}" ] && [ "$(id -u)" = 0 ] &&
  awk '$1 == "MemAvailable:" { exit !($2 > 14000000) }' /proc/meminfo 2>/dev/null &&
  unshare --mount --propagation private mount -t tmpfs tests /tmp 2>/dev/null; then
  HYPHA_TEST_MEMORY=mounted exec unshare --mount --propagation private bash "$ROOT/scripts/test.sh" "$@"
fi

# A test that hangs must not hang whoever waits for the last line.
LIMIT=${TEST_LIMIT_SECONDS:-1080}
PASSED=0
FAILED=0
NAMES=

# fail NAME: counts something that failed besides the tests themselves.
fail() {
  FAILED=$((FAILED + 1))
  NAMES="$NAMES  $1
"
}
finish() {
  [ -z "$NAMES" ] || printf '\nFailed:\n%s' "$NAMES"
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  [ "$FAILED" -eq 0 ]
  exit
}

if ! "$ROOT/scripts/setup.sh" stack; then
  fail "scripts/setup.sh"
  finish
fi
. "$ROOT/scripts/env.sh"
# The reports are read below.
export NO_COLOR=1

"$DENO" task --quiet check </dev/null || fail "deno task check"

LOGS=$(mktemp -d "${TMPDIR:-/tmp}/test-XXXXXX")
WARM=
trap 'kill $WARM 2>/dev/null; rm -rf "$LOGS"; [ -z "${HYPHA_TEST_MEMORY:-}" ] || { umount -l "$TMPDIR" && rmdir "$TMPDIR"; } 2>/dev/null' EXIT

# warm NAME MODULE: a process whose forks are the servers and clients of the tests (tests/stack/warm.py). Tests work
# without it, and take longer.
warm() {
  PYTHONPATH="$ROOT/tests/stack/$1_site" "$TOOLS/$1/bin/python" "$ROOT/tests/stack/warm.py" "$LOGS/$1.sock" "$2" </dev/null >/dev/null 2>&1 &
  WARM="$WARM $!"
  for _ in $(seq 600); do
    [ -S "$LOGS/$1.sock" ] && return
    sleep 0.1
  done
  fail "tests/stack/warm.py $2: not ready after a minute"
}

# run NAME ARGUMENT...: tests in a process of their own, with the name in front of each line; the log is kept.
run() {
  _name=$1
  shift
  # Types are checked already, and a mistake in one file should not keep the others from running.
  set -- "$DENO" test --no-check --allow-all "$@"
  if command -v timeout >/dev/null; then set -- timeout --kill-after=10 "$LIMIT" "$@"; fi
  { "$@" </dev/null 2>&1; echo $? >"$LOGS/$_name.status"; } | tee "$LOGS/$_name" |
    while IFS= read -r _line; do printf '[%s] %s\n' "$_name" "$_line"; done
}

# "ok | 12 passed (3 steps) | 1 failed | 2 ignored (4s)": only what is not zero is named, but for the passed.
number() {
  _number=$(grep -E '^(ok|FAILED) \| [0-9]+ passed' "$LOGS/$1" | tail -n 1 |
    sed -n "s/.*| \([0-9][0-9]*\) $2.*/\1/p")
  printf '%s' "${_number:-0}"
}

# count NAME: adds what a run has passed and failed.
count() {
  _status=$(cat "$LOGS/$1.status" 2>/dev/null)
  _failed=$(number "$1" failed)
  PASSED=$((PASSED + $(number "$1" passed)))
  FAILED=$((FAILED + _failed))
  # The names are listed between this heading and the summary, each with its place.
  _names=$(sed -n '/^ FAILURES/,/^\(ok\|FAILED\) |/{/ => \|(uncaught error)/s/^/  /p;}' "$LOGS/$1")
  [ -z "$_names" ] || NAMES="$NAMES$_names
"
  if [ "$_status" = 124 ]; then
    fail "deno test ($1): not finished after $LIMIT s"
  elif [ "$_status" != 0 ] && [ "$_failed" -eq 0 ]; then
    fail "deno test ($1): ended with exit code ${_status:-unknown}"
  fi
}

warm hypha hypha.server
warm moto moto.server
export HYPHA_TEST_WARM=$LOGS

if [ $# -gt 0 ]; then
  run tests "$@"
  count tests
  finish
fi
# Building the control plane takes minutes, so it goes on beside the tests, whenever they leave a processor to it.
PATIENCE=${CONTROL_PLANE_SECONDS:-840}
# (A session of its own is a scheduling group of its own, whose weight is told apart from that of its processes.)
setsid sh -c 'echo 19 >/proc/self/autogroup; exec nice -n 19 "$0" kube' "$ROOT/scripts/setup.sh" \
  </dev/null >"$LOGS/kube" 2>&1 &
KUBE=$!

# Most tests wait for other processes most of the time, so these run side by side; in processes of their own, since
# some count what their own process has open.
run apps tests/e2e/[a-c]*_test.ts tests/service tests/stack &
run sessions tests/e2e/[d-l]*_test.ts &
run workers tests/e2e/[m-z]*_test.ts &
run commands tests/cli tests/packages &
run environments tests/environments tests/managers tests/staging &
run interpreter tests/interpreter tests/worker &
run documents tests/docs tests/examples tests/notebook tests/kubernetes &
# The processes to be forked stay.
for JOB in $(jobs -p); do
  case " $WARM $KUBE " in *" $JOB "*) ;; *) wait "$JOB" ;; esac
done
while kill -0 "$KUBE" 2>/dev/null && [ "$SECONDS" -lt "$PATIENCE" ]; do sleep 1; done
if kill -0 "$KUBE" 2>/dev/null; then
  kill -- "-$KUBE"
  printf '\n*** NOT RUN: tests/control_plane. The control plane was not built after %d s.\n' "$SECONDS"
  printf '*** scripts/setup.sh kube builds it, once; then scripts/test.sh runs them.\n\n'
elif wait "$KUBE"; then
  sed 's/^/[control] /' "$LOGS/kube"
  LIMIT=$((LIMIT > SECONDS ? LIMIT - SECONDS : 1))
  set -- tests/control_plane
  # It asks about the charts as well, for which it needs helm (scripts/setup.sh packages).
  [ ! -x "$TOOLS/packages/bin/helm" ] || set -- "$@" tests/packages/kube_test.ts
  run control "$@"
  count control
else
  sed 's/^/[control] /' "$LOGS/kube"
  fail "scripts/setup.sh kube"
fi
for NAME in apps sessions workers commands environments interpreter documents; do count "$NAME"; done
# Whatever is added is run by one of them.
for DIRECTORY in tests/*/; do
  case $DIRECTORY in
  tests/e2e/ | tests/cli/ | tests/environments/ | tests/managers/ | tests/staging/ | tests/packages/) ;;
  tests/interpreter/ | tests/worker/ | tests/service/ | tests/stack/) ;;
  tests/docs/ | tests/examples/ | tests/notebook/ | tests/kubernetes/) ;;
  tests/control_plane/) ;;
  *) fail "$DIRECTORY is in no group of scripts/test.sh" ;;
  esac
done
finish
