#!/usr/bin/env bash
# Shows the whole thing on this machine: sets up, starts a real Hypha server and a worker, installs
# examples/plot through the server, runs cells, saves a plot, stops everything and checks that nothing is left.
#
#   scripts/quickstart.sh [DIRECTORY]     where the plot goes; default .tools/quickstart
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
"$ROOT/scripts/setup.sh" stack
. "$ROOT/scripts/env.sh"
# In place of this shell, so that a signal meets the program that cleans up.
exec "$DENO" run --quiet --allow-all "$ROOT/scripts/quickstart.ts" "$@"
