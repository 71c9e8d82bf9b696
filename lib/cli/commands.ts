/** The one table of commands: help, completions and documents come from it. */
import { PROGRAM } from "../version.ts";
import { ENV_COMMANDS, KEYS } from "./env_options.ts";
import { K8S_OPTIONS } from "./k8s_options.ts";
import { nearest } from "../nearest.ts";
import { type Option, usage } from "./option.ts";
import { DOCTOR_OPTIONS, HEALTH_OPTIONS, START_OPTIONS, VERSION_OPTIONS } from "./options.ts";
import { RUN_OPTIONS } from "./run_options.ts";
import { SETUP_OPTIONS } from "./setup_options.ts";

/** Shells that completions are made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** What completions offer for the arguments of a command: files, keys of environments, or words. */
export type Operands = "none" | "files" | "keys" | readonly string[];

/** A command. */
export interface Command {
  /** One line. */
  readonly summary: string;
  /** Command lines, without the program's name. */
  readonly usage: readonly string[];
  readonly options: readonly Option[];
  /** Command lines, without the program's name unless they begin with a variable. */
  readonly examples: readonly string[];
  /** What else is to be known; each is a paragraph of the help. */
  readonly notes?: readonly string[];
  /** @default "none" */
  readonly operands?: Operands;
  /** Commands of its own. */
  readonly commands?: Readonly<Record<string, Command>>;
}

/** Names of the commands. */
export type CommandName =
  | "start"
  | "k8s"
  | "run"
  | "env"
  | "doctor"
  | "health"
  | "setup"
  | "completions"
  | "version";

const ENV: Readonly<Record<string, Command>> = Object.fromEntries(
  Object.entries(ENV_COMMANDS).map(([name, { summary, operands, options, examples, note }]) => [
    name,
    {
      summary,
      usage: [`env ${name}${operands === "" ? "" : ` ${operands}`} [options]`],
      options,
      examples,
      operands: operands === "" ? "none" : operands.startsWith("<key>") ? "keys" : "files",
      ...(note === undefined ? {} : { notes: [note] }),
    },
  ]),
);

/** The commands, in the order of the help. */
export const COMMANDS: Readonly<Record<CommandName, Command>> = {
  start: {
    summary: "Serve a Hypha server as a worker (the default)",
    usage: ["[start] --server-url URL --workspace NAME --token TOKEN"],
    options: START_OPTIONS,
    examples: [
      "--server-url https://hypha.aicell.io --workspace my-workspace --token-file token.txt",
      `HYPHA_SERVER_URL=… HYPHA_WORKSPACE=… HYPHA_TOKEN=… ${PROGRAM} --verbose`,
    ],
    notes: [
      "Every option can be given by an environment variable: HYPHA_SERVER_URL, CONDA_CACHE_DIR, HYPHA_CONDA_CACHE_DIR, …",
      `Options can be kept in a file, ${PROGRAM}.toml or ${PROGRAM}.yaml; arguments and variables go before it.`,
    ],
  },
  k8s: {
    summary: "Serve a Hypha server as a worker that starts Kubernetes jobs",
    usage: ["k8s --server-url URL --workspace NAME --token TOKEN [options]"],
    options: K8S_OPTIONS,
    examples: [
      "k8s --server-url https://hypha.aicell.io --workspace my-workspace --token-file token.txt",
      "k8s … --namespace hypha --allowed-images 'python:*,ghcr.io/my-org/*'",
      `HYPHA_SERVER_URL=… HYPHA_WORKSPACE=… HYPHA_TOKEN=… HYPHA_K8S_NAMESPACE=hypha ${PROGRAM} k8s`,
    ],
    notes: [
      "Kubernetes is found by --kubeconfig or KUBECONFIG, in a pod by its service account, or by ~/.kube/config.",
      "Patterns: * is any text, {workspace} the workspace of whoever starts a job. Variables of the options about " +
      "Kubernetes begin with HYPHA_K8S_.",
      "Jobs go on when the worker is told to stop; one with the same worker id finds them again.",
    ],
  },
  run: {
    summary: "Run an app, a script, a notebook or code on this machine, with no server",
    usage: [
      "run [options] <script.py|-> [arguments of the script]",
      "run [options] -c CODE [arguments of the code]",
      "run [options] <app folder, manifest or notebook> [-- arguments]",
    ],
    options: RUN_OPTIONS,
    examples: [
      "run examples/plot",
      "run --with numpy --with pip:rich hello.py data.csv",
      "run -c 'print(1 + 1)'",
      "run notebook.ipynb -p rate=0.5 --report report.html",
      "run manifest.yaml other.py -- --fast",
    ],
    notes: ["The exit code is that of the script."],
    operands: "files",
  },
  env: {
    summary: "List, make, export and remove environments",
    usage: [`env <${Object.keys(ENV_COMMANDS).join("|")}> [options]`],
    options: [],
    examples: Object.values(ENV_COMMANDS).map((one) => one.examples[0]!),
    notes: [KEYS],
    commands: ENV,
  },
  doctor: {
    summary: "Check that a worker can work here, and say what to do where it cannot",
    usage: ["doctor [options]"],
    options: DOCTOR_OPTIONS,
    examples: [
      "doctor",
      "doctor --server-url https://hypha.aicell.io --workspace my-workspace --token-file token.txt",
      "doctor --channel conda-forge,bioconda --json",
    ],
    notes: [
      "It leaves nothing behind. The exit code is 1 when something fails; warnings do not count.",
    ],
  },
  health: {
    summary: "Ask the worker on this machine whether it is healthy",
    usage: ["health --metrics-port PORT [--ready]"],
    options: HEALTH_OPTIONS,
    examples: [
      "health --metrics-port 9090",
      `HYPHA_METRICS_PORT=9090 ${PROGRAM} health --ready`,
    ],
    notes: ["The exit code is 0 when it is, and 1 when it is not or does not answer."],
  },
  setup: {
    summary: "Fetch micromamba, for machines that have no package manager",
    usage: ["setup [options]"],
    options: SETUP_OPTIONS,
    examples: [
      "setup",
      "setup --yes --prefix ~/bin",
      "setup --url https://mirror.example.org/micromamba",
    ],
    notes: [
      "It says what it is about to do and asks first; without a terminal it needs --yes. The file is put in its place " +
      "only when its SHA-256 is right: that of the default release is part of this program, whichever mirror the file " +
      "comes from; that of another release is asked of the same server (the address with .sha256 behind it), which " +
      "guards against damage and not against the server. --sha256 names one that you trust.",
      "An address of --url is that of a copy of the project's directory; {release} and {platform} in it say where " +
      "the two belong. Proxies are taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
    ],
  },
  completions: {
    summary: "Print a script that lets a shell complete commands and options",
    usage: [`completions <${SHELLS.join("|")}>`],
    options: [],
    examples: [
      "completions bash > ~/.local/share/bash-completion/completions/hypha-conda-worker",
      "completions zsh > ~/.zfunc/_hypha-conda-worker",
      "completions fish > ~/.config/fish/completions/hypha-conda-worker.fish",
    ],
    notes: [
      `For this shell only: source <(${PROGRAM} completions bash), or ${PROGRAM} completions fish | source.`,
      "zsh finds it when the directory is in fpath before compinit: fpath=(~/.zfunc $fpath).",
    ],
    operands: SHELLS,
  },
  version: {
    summary: "Print the version, and what the program runs on",
    usage: ["version [--json]"],
    options: VERSION_OPTIONS,
    examples: ["version", "version --json"],
  },
};

/**
 * The name of a command.
 *
 * @throws WorkerError `usage` that names the nearest
 */
export function commandName(name: string): CommandName {
  const names = Object.keys(COMMANDS) as CommandName[];
  const found = names.find((known) => known === name);
  if (found !== undefined) return found;
  // A file or a folder is run.
  const near = /[./]/.test(name) ? `run ${name}` : nearest(name, [...names, "help"]);
  throw usage(`Unknown command ${name}${near === undefined ? "" : `; did you mean ${near}?`}`);
}
