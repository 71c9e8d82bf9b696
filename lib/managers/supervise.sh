# Runs one program so that nothing of it outlives the one who asked.
#
#   sh supervise.sh DIRECTORY/arguments
#
# The file holds the program and its arguments, one per line: they never meet the quoting of a shell.
# The program runs in a process group of its own, with an empty standard input. This script's own standard
# input is the lifeline: at its end the whole group is killed. So closing the pipe cancels, and the death of
# the process that holds it, however sudden, cancels too. Output and exit code are passed on.
#
# Each line that comes along the lifeline asks how much the group has done: processor time in hundredths of a
# second and bytes read and written so far, as two numbers in DIRECTORY/activity. DIRECTORY/started tells that
# this script was reached at all.
#
# It must itself be started in a process group apart from its caller's (detached).

call=$1
directory=${call%/*}
: >"$directory/started"
set --
while IFS= read -r argument || [ -n "$argument" ]; do
  set -- "$@" "$argument"
done <"$call"

exec 3<&0 </dev/null

# Linux has setsid, and shells that refuse job control without a terminal; macOS has it the other way round.
# `fallback` is what to kill when the program turns out to have no group: itself, because setsid has not taken
# effect yet, or this script's group, because there was no way to make another.
if command -v setsid >/dev/null 2>&1; then
  setsid "$@" 3<&- &
  program=$!
  fallback=$program
else
  set -m 2>/dev/null
  "$@" 3<&- &
  program=$!
  fallback=0
  set +m
fi

measure() {
  cpu=0
  io=0
  if [ -r /proc/self/stat ]; then
    for stat in /proc/[0-9]*/stat; do
      IFS= read -r line <"$stat" || continue
      # The name of the program, in parentheses, may hold anything; what follows begins with the state.
      # shellcheck disable=SC2086
      set -- ${line##*) }
      [ "$3" = "$program" ] || continue
      # With that of children that have ended.
      cpu=$((cpu + ${12} + ${13} + ${14} + ${15}))
      while read -r name value; do
        case $name in rchar: | wchar:) io=$((io + value)) ;; esac
      done <"${stat%stat}io"
    done
  else
    cpu=$(ps -A -o pgid= -o time= | awk -v group="$program" '
      $1 == group { count = split($2, part, ":"); s = 0; for (i = 1; i <= count; i++) s = s * 60 + part[i]; sum += s }
      END { printf "%d", sum * 100 }')
  fi
  echo "$cpu $io" >"$directory/activity"
}

# The watcher must not hold the output pipes: their end is how the caller knows that everything is gone.
(
  exec >/dev/null 2>&1
  while read -r _; do measure; done <&3
  # Without `--` before the group: not every shell's kill knows it.
  kill -9 "-$program" || kill -9 "$fallback"
) &
watcher=$!
exec 3<&-

wait "$program"
code=$?
exec 2>/dev/null
# Whoever gets the exit code finds nothing of this any more. Not TERM: it waits until a stopped process goes on.
kill -9 "$watcher"
wait "$watcher"
# What the program left running, such as a compiler of .pyc files, must not write on.
kill -9 "-$program"
exit "$code"
