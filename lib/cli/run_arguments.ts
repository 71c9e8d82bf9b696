/**
 * The arguments of `run`: what is to be run, the options before it, and what belongs to the code.
 *
 * Like `python`, `run` leaves everything behind a script, behind the code of `-c` and behind `-` to the code. With an
 * app or a notebook, options may stand anywhere, and what is behind `--` is the code's.
 */
import { extname, join, resolve } from "@std/path";
import type { WorkerError } from "../errors.ts";
import { type Option, usage } from "./option.ts";

/** What is run. */
export type Target =
  | { readonly kind: "code"; readonly code: string }
  | { readonly kind: "stdin" }
  | { readonly kind: "script"; readonly name: string; readonly path: string }
  | { readonly kind: "notebook"; readonly name: string; readonly path: string }
  /** An app's manifest; `script` is another one than the manifest's. */
  | {
    readonly kind: "app";
    readonly name: string;
    readonly path: string;
    readonly script: string | undefined;
  }
  /** Nothing that can be run. */
  | { readonly kind: "nothing"; readonly error: WorkerError };

/** Arguments of `run`, taken apart. */
export interface RunArguments {
  /** `undefined` when nothing is named. */
  readonly target: Target | undefined;
  /** Options, each with its value in one word. */
  readonly options: readonly string[];
  /** What the code finds in `sys.argv[1:]`. */
  readonly passed: readonly string[];
}

/** Names of manifests in the folder of an app. */
export const MANIFESTS = ["manifest.yaml", "manifest.yml", "manifest.json"];
const KINDS =
  "an app folder, a manifest (.yaml, .yml, .json), a script (.py) or a notebook (.ipynb)";

/** Takes arguments apart. Throws `usage` that names the one that is wrong. */
export async function splitArguments(
  options: readonly Option[],
  args: readonly string[],
): Promise<RunArguments> {
  const own: string[] = [];
  const words: Target[] = [];
  let script: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    const behind = () => withoutDashes(args.slice(at + 1));
    if (arg === "--") {
      return { target: named(words[0], script), options: own, passed: args.slice(at + 1) };
    }
    if (words.length === 0 && arg === "-") {
      return { target: { kind: "stdin" }, options: own, passed: behind() };
    }
    if (arg.startsWith("-") && arg !== "-") {
      const { option, value, used } = readOption(options, arg, args[at + 1]);
      if (used) at++;
      if (option?.name === "code") {
        if (words.length > 0) throw usage("-c gives the code: no file may stand beside it");
        if (value === undefined) throw usage("Option -c needs the code");
        return { target: { kind: "code", code: value }, options: own, passed: behind() };
      }
      if (option === undefined || option.type === "flag") own.push(arg);
      else own.push(`--${option.name}=${value ?? ""}`);
      continue;
    }
    if (words.length === 0) {
      const target = await targetOf(arg);
      if (target.kind === "script") return { target, options: own, passed: behind() };
      words.push(target);
    } else if (["app", "nothing"].includes(words[0]!.kind) && script === undefined) script = arg;
    else throw usage(`Unexpected argument ${arg}; give the script's after --`);
  }
  return { target: named(words[0], script), options: own, passed: [] };
}

function named(target: Target | undefined, script: string | undefined): Target | undefined {
  return target?.kind === "app" ? { ...target, script } : target;
}

/** `run script.py -- --fast` is what `run script.py --fast` is. */
function withoutDashes(args: readonly string[]): readonly string[] {
  return args[0] === "--" ? args.slice(1) : args;
}

/** Which option an argument is, with its value; `used` when that is the next argument. */
function readOption(options: readonly Option[], arg: string, next: string | undefined) {
  const [, name, long] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
  const option = options.find((one) =>
    name === undefined ? one.short === arg[1] : one.name === name
  );
  if (option === undefined || option.type === "flag") {
    return { option, value: undefined, used: false };
  }
  const attached = name !== undefined
    ? long
    : arg.length > 2
    ? arg.slice(2).replace(/^=/, "")
    : undefined;
  return attached === undefined
    ? { option, value: next, used: next !== undefined }
    : { option, value: attached, used: false };
}

/** What a path names. Mistyped options are told first, so its own error is kept. */
async function targetOf(name: string): Promise<Target> {
  const path = resolve(name);
  const nothing = (reason: string): Target => ({
    kind: "nothing",
    error: usage(`Cannot run ${name}: ${reason}`),
  });
  const info = await Deno.stat(path).catch(() => undefined);
  if (info === undefined) return nothing("there is no such file or folder");
  if (info.isDirectory) {
    for (const manifest of MANIFESTS) {
      const file = join(path, manifest);
      if (await Deno.stat(file).then(() => true, () => false)) {
        return { kind: "app", name, path: file, script: undefined };
      }
    }
    return nothing(`it has no ${MANIFESTS.join(" or ")}`);
  }
  switch (extname(path).toLowerCase()) {
    case ".yaml":
    case ".yml":
    case ".json":
      return { kind: "app", name, path, script: undefined };
    case ".ipynb":
      return { kind: "notebook", name, path };
    case ".py":
    case ".pyw":
    case "":
      return { kind: "script", name, path };
  }
  if (await startsWith(path, "#!")) return { kind: "script", name, path };
  return nothing(`expected ${KINDS}`);
}

async function startsWith(path: string, text: string): Promise<boolean> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(text.length);
  await file.read(bytes);
  return new TextDecoder().decode(bytes) === text;
}
