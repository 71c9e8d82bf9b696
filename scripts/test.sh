#!/usr/bin/env bash
# Sets up and runs everything that checks the project: formatting, lint, types, tests.
#
#   scripts/test.sh [ARGUMENT...]     arguments go to `deno test`, such as a file or --filter NAME
#
# The last line is always "N passed, N failed"; a failed check and a run that breaks off count as failed.
set -u

ROOT=$(cd "$(dirname "$0")/.." && pwd)
cd "$ROOT"
# A test that hangs must not hang whoever waits for the last line.
LIMIT=${TEST_LIMIT_SECONDS:-1000}
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

LOG=$(mktemp "${TMPDIR:-/tmp}/test-XXXXXX")
trap 'rm -f "$LOG"' EXIT
# Types are checked already, and a mistake in one file should not keep the others from running.
set -- "$DENO" test --no-check --allow-all "$@"
if command -v timeout >/dev/null; then set -- timeout --kill-after=10 "$LIMIT" "$@"; fi
"$@" </dev/null 2>&1 | tee "$LOG"
STATUS=${PIPESTATUS[0]}

# "ok | 12 passed (3 steps) | 1 failed | 2 ignored (4s)": only what is not zero is named, but for the passed.
SUMMARY=$(grep -E '^(ok|FAILED) \| [0-9]+ passed' "$LOG" | tail -n 1)
number() {
  _number=$(printf '%s\n' "$SUMMARY" | sed -n "s/.*| \([0-9][0-9]*\) $1.*/\1/p")
  printf '%s' "${_number:-0}"
}
PASSED=$(number passed)
TESTS_FAILED=$(number failed)
FAILED=$((FAILED + TESTS_FAILED))
# The names are listed between this heading and the summary, each with its place.
NAMES=$NAMES$(sed -n '/^ FAILURES/,/^\(ok\|FAILED\) |/{/ => \|(uncaught error)/s/^/  /p;}' "$LOG")
[ -z "$NAMES" ] || NAMES="${NAMES%
}
"
if [ "$STATUS" -eq 124 ]; then
  fail "deno test: not finished after $LIMIT s"
elif [ "$STATUS" -ne 0 ] && [ "$TESTS_FAILED" -eq 0 ]; then
  fail "deno test: ended with exit code $STATUS"
fi
finish
