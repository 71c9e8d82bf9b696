/** Completions for fish, 3.0 and newer. */
import { PROGRAM } from "../version.ts";
import { type Place, places, type Values, valuesOf } from "./completions_words.ts";
import type { Option } from "./option.ts";

const FUNCTION = `__${PROGRAM.replaceAll("-", "_")}`;

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

/** How a line of \`complete\` says what follows. */
function argument(values: Values): string {
  switch (values.kind) {
    case "nothing":
      return "";
    case "words":
      return ` -xa ${quoted(values.words.join(" "))}`;
    case "files":
      return " -rF";
    case "directories":
      return " -xa '(__fish_complete_directories)'";
    case "keys":
      return ` -xa '(${FUNCTION}_keys)'`;
    default:
      return " -x";
  }
}

function line(condition: string, rest: string): string {
  return `complete -c ${PROGRAM} -n ${quoted(condition)} ${rest}`;
}

function optionLine(at: string, option: Option): string {
  const short = option.short === undefined ? "" : `-s ${option.short} `;
  return line(
    at,
    `${short}-l ${option.name}${argument(valuesOf(option))} -d ${quoted(option.help)}`,
  );
}

function placeLines({ path, commands, options, operands }: Place): string[] {
  const at = [`${FUNCTION}_at`, ...path].join(" ");
  const fresh = [`${FUNCTION}_at`, "--fresh", ...path].join(" ");
  const own = operands.kind === "files"
    ? [line(at, "-F")]
    : operands.kind === "nothing"
    ? []
    : [line(at, argument(operands).trim())];
  return [
    ...commands.map((one) => line(fresh, `-a ${one.name} -d ${quoted(one.summary)}`)),
    ...own,
    ...options.map((option) => optionLine(at, option)),
  ];
}

/** The script. */
export function fishCompletions(): string {
  const all = places();
  const valued = new Set(
    all.flatMap((place) => place.options).filter((option) => option.type !== "flag")
      .flatMap((option) => [
        `--${option.name}`,
        ...(option.short === undefined ? [] : [`-${option.short}`]),
      ]),
  );
  const paths = all.filter((place) => place.path.length > 0).map((place) => place.path.join(" "));
  return `# Completions of ${PROGRAM} for fish, written by \`${PROGRAM} completions fish\`.

# Whether the word is one of the command that is named; with --fresh only right behind its name.
function ${FUNCTION}_at
    set -l only_fresh no
    if test "$argv[1]" = --fresh
        set only_fresh yes
        set -e argv[1]
    end
    set -l words (commandline -opc)
    set -e words[1]
    set -l path ''
    set -l fresh yes
    set -l skip no
    for word in $words
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
            case --
                return 1
            case '--*=*'
                set fresh no
            case '-*'
                set fresh no
                if contains -- $word ${[...valued].join(" ")}
                    set skip yes
                end
            case '*'
                set -l longer (string trim -- "$path $word")
                if test $fresh = yes; and contains -- $longer ${paths.map(quoted).join(" ")}
                    set path $longer
                else
                    set fresh no
                end
        end
    end
    test "$path" = "$argv"; or return 1
    test $only_fresh = no; or test $fresh = yes
end

# Keys of environments in the cache.
function ${FUNCTION}_keys
    set -l cache ~/.hypha_conda_cache
    for name in HYPHA_CONDA_CACHE_DIR CONDA_CACHE_DIR HYPHA_CACHE_DIR
        if test -n "$$name"
            set cache $$name
        end
    end
    set -l words (commandline -opc)
    for index in (seq (count $words))
        switch $words[$index]
            case --cache-dir
                set cache $words[(math $index + 1)]
            case '--cache-dir=*'
                set cache (string replace -- --cache-dir= '' $words[$index])
        end
    end
    for directory in (string replace -r '^~' $HOME -- $cache)/envs/*/
        basename $directory
    end
end

complete -c ${PROGRAM} -f
${all.flatMap(placeLines).join("\n")}
`;
}
