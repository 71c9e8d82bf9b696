/** The commands of `env` and their options: help, completions and documents come from this table. */
import { EXPORT_FORMATS } from "../environments/export.ts";
import { nearest } from "../nearest.ts";
import { CONFIG, environmentNames, type Option, usage } from "./option.ts";
import { CACHE_DIR, CACHE_LIMITS, JSON_OUTPUT, MANAGER_OPTIONS, VERBOSE } from "./options.ts";

/** A command of `env`. */
export interface EnvCommand {
  readonly summary: string;
  /** Arguments, for the help. */
  readonly operands: string;
  readonly options: readonly Option[];
  readonly examples: readonly string[];
  /** What else is to be known. */
  readonly note?: string;
}

/** Names of the commands of `env`. */
export type EnvCommandName = "list" | "create" | "show" | "export" | "remove" | "prune";

/** What the help says of keys. */
export const KEYS = "A key may be shortened as long as no other begins with it.";

/** The commands, in the order of the help. */
export const ENV_COMMANDS: Readonly<Record<EnvCommandName, EnvCommand>> = {
  list: {
    summary: "List the environments with their sizes, ages and users",
    operands: "",
    options: [CACHE_DIR, CONFIG, {
      name: "usage",
      type: "flag",
      help: "Add up what the whole cache takes on disk; takes a while for large ones",
      environment: false,
    }, JSON_OUTPUT],
    examples: ["env list", "env list --usage --cache-dir /srv/cache"],
  },
  create: {
    summary: "Make an environment before it is needed",
    operands: "<app folder, manifest, environment.yml, lock file, or package specs>",
    options: [
      CACHE_DIR,
      CONFIG,
      {
        name: "channel",
        type: "text",
        value: "A,B",
        help: "Channels to use instead of those that are named, the most important first",
        environment: false,
      },
      {
        name: "as-installed",
        type: "flag",
        help: "For an app that is installed on a server, which adds pip and hypha-rpc",
        environment: false,
      },
      ...MANAGER_OPTIONS,
      JSON_OUTPUT,
      VERBOSE,
    ],
    examples: [
      "env create python=3.11 'numpy>=1.26' --channel conda-forge,bioconda",
      "env create environment.yml",
      "env create examples/plot --as-installed",
      "env create environment.explicit.txt",
    ],
  },
  show: {
    summary: "Show an environment and its packages",
    operands: "<key>",
    options: [CACHE_DIR, CONFIG, JSON_OUTPUT],
    examples: ["env show 3f0c"],
    note: KEYS,
  },
  export: {
    summary: "Print an environment in a form it can be made from again",
    operands: "<key>",
    options: [CACHE_DIR, CONFIG, {
      name: "format",
      type: "text",
      value: EXPORT_FORMATS.join("|"),
      help: "environment.yml with exact versions, lock file with hashes, or all that is known",
      default: "yaml",
      environment: false,
    }],
    examples: [
      "env export 3f0c > environment.yml",
      "env export 3f0c --format explicit > environment.explicit.txt",
    ],
    note: KEYS,
  },
  remove: {
    summary: "Remove environments that nobody uses",
    operands: "<key>...",
    options: [CACHE_DIR, CONFIG, JSON_OUTPUT, VERBOSE],
    examples: ["env remove 3f0c 91bd"],
    note: KEYS,
  },
  prune: {
    summary: "Remove broken environments and those beyond limits, the least recently used first",
    operands: "",
    options: [
      CACHE_DIR,
      CONFIG,
      {
        name: "max-count",
        type: "text",
        value: "N",
        help: "Environments that stay",
        environment: false,
      },
      {
        name: "max-size",
        type: "text",
        value: "SIZE",
        help: "Disk space for environments and packages, for example 50GB",
        environment: false,
      },
      {
        name: "max-age",
        type: "text",
        value: "DAYS",
        help: "Days an environment stays after its last use",
        environment: false,
      },
      {
        name: "all",
        type: "flag",
        help: "Everything that is not in use, and packages no environment has",
        environment: false,
      },
      {
        name: "dry-run",
        type: "flag",
        help: "Only say what would be removed",
        environment: false,
      },
      JSON_OUTPUT,
      VERBOSE,
    ],
    examples: ["env prune", "env prune --max-count 5 --max-age 7", "env prune --all --dry-run"],
    note: `Without a limit those of workers hold: ${
      CACHE_LIMITS.map((option) => `${environmentNames(option)[0]} [${option.default}]`).join(", ")
    }.`,
  },
};

/**
 * The command of a name.
 *
 * @throws WorkerError `usage` that names what there is
 */
export function envCommand(name: string | undefined): EnvCommandName {
  const names = Object.keys(ENV_COMMANDS) as EnvCommandName[];
  const found = names.find((known) => known === name);
  if (found !== undefined) return found;
  if (name === undefined || name.startsWith("-")) {
    throw usage(`env needs a command: ${names.join(", ")}`);
  }
  const near = nearest(name, names);
  throw usage(
    `Unknown command env ${name}${
      near === undefined ? `; there are ${names.join(", ")}` : `; did you mean env ${near}?`
    }`,
  );
}
