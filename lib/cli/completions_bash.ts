/** Completions for bash, 3.2 (that of macOS) and newer. */
import { PROGRAM } from "../version.ts";
import { type Place, places, type Values, valuesOf } from "./completions_words.ts";
import type { Option } from "./option.ts";

const FUNCTION = `_${PROGRAM.replaceAll("-", "_")}`;

function flags(option: Option): string[] {
  return [...(option.short === undefined ? [] : [`-${option.short}`]), `--${option.name}`];
}

/** What the script calls such values. */
function kindOf(values: Values): string {
  return values.kind === "words" ? values.words.join(" ") : `:${values.kind}`;
}

function placeCase({ path, commands, options, operands }: Place): string {
  const valued = options.filter((option) => option.type !== "flag");
  return `    '${path.join(" ")}')
      commands='${commands.map((one) => one.name).join(" ")}'
      options='${options.flatMap(flags).join(" ")}'
      valued='${valued.flatMap(flags).join(" ")}'
      operands='${kindOf(operands)}'
      ;;`;
}

/** Cases of options by what follows them; the same option has the same values in most places. */
function valueCases(all: readonly Place[]): string {
  const byKind = new Map<string, string[]>();
  for (const { path, options } of all) {
    for (const option of options) {
      const values = valuesOf(option);
      if (values.kind === "nothing" || values.kind === "anything") continue;
      const patterns = flags(option).map((flag) => `'${[...path, flag].join(" ")}'`);
      byKind.set(kindOf(values), [...byKind.get(kindOf(values)) ?? [], ...patterns]);
    }
  }
  return [...byKind].map(([kind, patterns]) =>
    `    ${patterns.join(" | \\\n    ")}) echo '${kind}' ;;`
  ).join("\n");
}

/** The script. */
export function bashCompletions(): string {
  const all = places();
  return `# Completions of ${PROGRAM} for bash, written by \`${PROGRAM} completions bash\`.

# What can be said at a place: sets commands, options, valued (options that take a value) and operands.
${FUNCTION}_place() {
  case $1 in
${all.map(placeCase).join("\n")}
  esac
}

# What follows an option at a place: words, or a kind of things with a colon.
${FUNCTION}_values() {
  case "\${1:+$1 }$2" in
${valueCases(all)}
    *) echo ':anything' ;;
  esac
}

# Keys of environments in the cache.
${FUNCTION}_keys() {
  local cache=\${1:-\${HYPHA_CACHE_DIR:-\${CONDA_CACHE_DIR:-\${HYPHA_CONDA_CACHE_DIR:-~/.hypha_conda_cache}}}} key
  for key in "\${cache/#\\~/$HOME}"/envs/*/; do
    [[ -d $key ]] || continue
    key=\${key%/}
    printf '%s\\n' "\${key##*/}"
  done
}

${FUNCTION}_reply() {
  local words=$1 current=$2 word
  case $words in
    # An empty reply leaves the word to the shell, which completes paths.
    :files) return ;;
    :directories) compopt +o default -o dirnames 2>/dev/null; return ;;
    :keys) words=$(${FUNCTION}_keys "$cache") ;;
    :*) words= ;;
  esac
  compopt +o default 2>/dev/null
  while IFS= read -r word; do
    COMPREPLY+=("$word")
  done < <(compgen -W "$words" -- "$current")
}

${FUNCTION}() {
  local word words=() last current path='' fresh=1 option='' cache='' i
  local commands options valued operands
  COMPREPLY=()
  # The shell breaks words at =; here --option=value is one.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    last=$((\${#words[@]} - 1))
    if ((last >= 0)) && [[ $word == '=' && \${words[last]} == --* || \${words[last]} == --*= ]]; then
      words[last]+=$word
    else
      words+=("$word")
    fi
  done
  last=$((\${#words[@]} - 1))
  current=\${words[last]}
  ${FUNCTION}_place ''
  for ((i = 0; i < last; i++)); do
    word=\${words[i]}
    if [[ -n $option ]]; then
      [[ $option != --cache-dir ]] || cache=$word
      option=''
      continue
    fi
    case $word in
      # What follows is for somebody else.
      --) return ;;
      --cache-dir=*) cache=\${word#*=} fresh=0 ;;
      --*=*) fresh=0 ;;
      -*)
        fresh=0
        [[ " $valued " != *" $word "* ]] || option=$word
        ;;
      *)
        if ((fresh)) && [[ " $commands " == *" $word "* ]]; then
          path=\${path:+$path }$word
          ${FUNCTION}_place "$path"
        else
          fresh=0
        fi
        ;;
    esac
  done
  if [[ -n $option ]]; then
    ${FUNCTION}_reply "$(${FUNCTION}_values "$path" "$option")" "$current"
  elif [[ $current == --*=* ]]; then
    ${FUNCTION}_reply "$(${FUNCTION}_values "$path" "\${current%%=*}")" "\${current#*=}"
  elif [[ $current == -* ]]; then
    ${FUNCTION}_reply "$options" "$current"
  elif ((fresh)) && [[ -n $commands ]]; then
    ${FUNCTION}_reply "$commands" "$current"
  else
    ${FUNCTION}_reply "$operands" "$current"
  fi
}

complete -o default -F ${FUNCTION} ${PROGRAM}
`;
}
