/** Completions for zsh. */
import { PROGRAM } from "../version.ts";
import { type Place, places, type Values, valuesOf } from "./completions_words.ts";
import type { Option } from "./option.ts";

const FUNCTION = `_${PROGRAM}`;

/** A text between single quotes, within which only they end it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A description within brackets of \`_arguments\`. */
function description(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&");
}

function action(values: Values): string {
  switch (values.kind) {
    case "words":
      return `(${values.words.join(" ")})`;
    case "files":
      return "_files";
    case "directories":
      return "_files -/";
    case "keys":
      return `${FUNCTION}_keys`;
    default:
      return "";
  }
}

function optionSpecs(option: Option): string[] {
  const text = `[${description(option.help)}]`;
  const many = option.type === "list" ? "*" : "";
  const value = option.type === "flag"
    ? ""
    : `:${description(option.value ?? "value")}:${action(valuesOf(option))}`;
  const sign = option.type === "flag" ? "" : "=";
  const long = `--${option.name}`;
  if (option.short === undefined) return [quoted(`${many}${long}${sign}${text}${value}`)];
  const short = `-${option.short}`;
  const others = many === "" ? `(${short} ${long})` : many;
  return [
    quoted(`${others}${short}${option.type === "flag" ? "" : "+"}${text}${value}`),
    quoted(`${others}${long}${sign}${text}${value}`),
  ];
}

function functionName(path: readonly string[]): string {
  return [FUNCTION, ...path].join("__");
}

function placeFunction({ path, commands, options, operands }: Place): string {
  const name = functionName(path);
  const specs = options.flatMap(optionSpecs);
  if (commands.length === 0) {
    if (operands.kind !== "nothing") specs.push(quoted(`*:argument:${action(operands)}`));
    return `${name}() {
  _arguments -s -S ${specs.length === 0 ? "':: :'" : specs.join(" \\\n    ")}
}`;
  }
  const listed = commands.map((one) => quoted(`${one.name}:${one.summary.replaceAll(":", "\\:")}`));
  // Commands of help have no help of their own.
  const known = commands.filter((one) => ALL.has([...path, one.name].join(" ")));
  return `${name}_commands() {
  local -a commands
  commands=(
    ${listed.join("\n    ")}
  )
  _describe -t commands command commands
}

${name}() {
  local curcontext="$curcontext" state line
  typeset -A opt_args
  _arguments -s -S -C ${
    [...specs, `'1: :${name}_commands'`, "'*::argument:->rest'"].join(" \\\n    ")
  } && return
  [[ $state == rest ]] || return
  case $line[1] in
${known.map((one) => `    ${one.name}) ${functionName([...path, one.name])} ;;`).join("\n")}
  esac
}`;
}

const ALL = new Set(places().map((place) => place.path.join(" ")));

/** The script. */
export function zshCompletions(): string {
  return `#compdef ${PROGRAM}
# Completions of ${PROGRAM} for zsh, written by \`${PROGRAM} completions zsh\`.

# Keys of environments in the cache.
${FUNCTION}_keys() {
  local cache=\${(v)opt_args[--cache-dir]:-\${HYPHA_CACHE_DIR:-\${CONDA_CACHE_DIR:-\${HYPHA_CONDA_CACHE_DIR:-$HOME/.hypha_conda_cache}}}}
  local -a keys
  keys=(\${cache/#\\~/$HOME}/envs/*(N/:t))
  compadd -a keys
}

${places().map(placeFunction).join("\n\n")}

if [[ $funcstack[1] == ${FUNCTION} ]]; then
  ${FUNCTION} "$@"
else
  compdef ${FUNCTION} ${PROGRAM}
fi
`;
}
