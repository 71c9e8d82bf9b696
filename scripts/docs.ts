/**
 * Writes the documents that come from tables in the code: `docs/api.md` from the method table, `docs/errors.md` from
 * the registry of errors, `docs/kubernetes-manifest.md` from the fields of Kubernetes jobs, commands and exit codes in
 * `docs/command-line.md`, and the options in `README.md`.
 *
 *     deno run --allow-all scripts/docs.ts            writes them
 *     deno run --allow-all scripts/docs.ts --check    fails when one is out of date
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { type Command, COMMANDS } from "../lib/cli/commands.ts";
import { ENV_COMMANDS } from "../lib/cli/env_options.ts";
import { EXIT_CODES } from "../lib/cli/exit_codes.ts";
import { environmentNames, type Option } from "../lib/cli/option.ts";
import { DOCTOR_OPTIONS, START_OPTIONS } from "../lib/cli/options.ts";
import { RUN_OPTIONS } from "../lib/cli/run_options.ts";
import { errorKinds } from "../lib/errors.ts";
import type { JsonSchema, Method, Parameter } from "../lib/worker/method.ts";
import type { MethodContext } from "../lib/worker/method_support.ts";
import { workerMethods } from "../lib/worker/methods.ts";
import { PROGRAM } from "../lib/version.ts";
import { kubernetesManifest } from "./docs_kubernetes.ts";
import { format } from "./markdown.ts";

const root = dirname(dirname(fromFileUrl(import.meta.url)));

/** Text of a table cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replace(/\s+/g, " ");
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function typeOf(schema: JsonSchema, callback = false): string {
  if (callback) return "function";
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(", ");
  return schema.type ?? "any";
}

function meaning(schema: JsonSchema): string {
  const facts = [schema.description ?? ""];
  if (schema.default !== undefined) facts.push(`Default: \`${JSON.stringify(schema.default)}\`.`);
  if (schema.examples?.[0] !== undefined) {
    facts.push(`Example: \`${JSON.stringify(schema.examples[0])}\`.`);
  }
  return facts.filter((fact) => fact !== "").join(" ");
}

/** Rows of a parameter, and of the fields of an object, with their paths. */
function rows(path: string, schema: JsonSchema, parameter: Partial<Parameter> = {}): string[][] {
  const { callback = false, required = false } = parameter;
  const own = [
    `\`${path}\`${required ? " (required)" : ""}`,
    typeOf(schema, callback),
    meaning(schema),
  ];
  const fields = Object.entries(schema.properties ?? {});
  return [own, ...fields.flatMap(([name, field]) => rows(`${path}.${name}`, field))];
}

function signature(method: Method): string {
  const names = method.parameters.map((one) => one.required ? one.name : `${one.name}=None`);
  return `${method.name}(${names.join(", ")})`;
}

function methodSection(method: Method): string {
  const all = method.parameters.flatMap((one) => rows(one.name, one.schema, one));
  const parameters = all.length === 0 ? "" : `\n\n${table(["Parameter", "Type", "Meaning"], all)}`;
  return `## ${method.name}\n\n\`${signature(method)}\`\n\n${method.description}${parameters}`;
}

const GENERATED = "<!-- Written by scripts/docs.ts; do not edit. -->";

function api(): string {
  // Only the tables are read; no handler is called.
  const methods = workerMethods({} as MethodContext);
  return `${GENERATED}

# Methods of the worker

The worker registers as a Hypha service of type \`server-app-worker\`. These are its methods, as clients call them, by
position or by name. Errors are described in [errors.md](errors.md).

${methods.map(methodSection).join("\n\n")}
`;
}

function errors(): string {
  const kinds = Object.entries(errorKinds());
  return `${GENERATED}

# Errors

Every error a client or an operator can meet has a code that does not change, a class name on the wire, and a suggestion.
Messages read "Cannot <verb> <thing>: <reason>". On the command line wrong usage ends with exit code 2, everything else
with 1.

${
    table(
      ["Code", "Name on the wire", "What to do"],
      kinds.map(([code, kind]) => [`\`${code}\``, `\`${kind.name}\``, kind.suggestion]),
    )
  }
`;
}

function optionRow(option: Option): string[] {
  const short = option.short ? `\`-${option.short}\`, ` : "";
  const flag = `${short}\`--${option.name}${option.value ? ` ${option.value}` : ""}\``;
  const variable = option.environment === false ? "" : `\`${environmentNames(option)[0]}\``;
  const initial = option.default === undefined ? "" : `\`${option.default}\``;
  return [flag, variable, option.help, initial];
}

/** The options of the commands, for the README. */
function options(): string {
  const head = ["Option", "Variable", "Meaning", "Default"];
  return `\`start\`:

${table(head, START_OPTIONS.map(optionRow))}

\`run\`:

${table(head, RUN_OPTIONS.map(optionRow))}

\`env\`:

${table(["Command", ...head], envRows())}

\`doctor\`:

${table(head, DOCTOR_OPTIONS.map(optionRow))}`;
}

/** The commands with their usage and options, for the document of the command line. */
function commands(): string {
  const head = ["Option", "Variable", "Meaning", "Default"];
  const section = (name: string, depth: number, one: Command): string[] => {
    const usage = one.usage.map((line) => `${PROGRAM} ${line}`).join("\n");
    const parts = [
      `${"#".repeat(depth)} \`${name}\``,
      `${one.summary}.`,
      `\`\`\`text\n${usage}\n\`\`\``,
    ];
    if (one.options.length > 0) parts.push(table(head, one.options.map(optionRow)));
    return [
      ...parts,
      ...Object.entries(one.commands ?? {}).flatMap(([below, command]) =>
        section(`${name} ${below}`, depth + 1, command)
      ),
    ];
  };
  return Object.entries(COMMANDS).flatMap(([name, one]) => section(name, 3, one)).join("\n\n");
}

function exitCodes(): string {
  return table(["Code", "Meaning"], EXIT_CODES.map(({ code, meaning }) => [code, meaning]));
}

/** Options of the commands of `env`, each once, with the commands that have it. */
function envRows(): string[][] {
  const commands = new Map<Option, string[]>();
  for (const [name, { options }] of Object.entries(ENV_COMMANDS)) {
    for (const option of options) commands.set(option, [...commands.get(option) ?? [], name]);
  }
  return [...commands].map(([option, names]) => [names.join(", "), ...optionRow(option)]);
}

/** Puts a text between the marks of that name. */
function between(document: string, name: string, text: string): string {
  const [start, end] = [`<!-- ${name}: written by scripts/docs.ts -->`, `<!-- end of ${name} -->`];
  const from = document.indexOf(start);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new Error(`Cannot find the marks of ${name}`);
  return `${document.slice(0, from)}${start}\n\n${text}\n\n${document.slice(to)}`;
}

/** The documents as they should be, by path relative to the checkout. */
export async function documents(): Promise<ReadonlyMap<string, string>> {
  const readme = await Deno.readTextFile(join(root, "README.md"));
  const commandLine = await Deno.readTextFile(join(root, "docs", "command-line.md"));
  const texts = Object.entries({
    "docs/api.md": api(),
    "docs/errors.md": errors(),
    "docs/kubernetes-manifest.md": `${GENERATED}\n\n${kubernetesManifest(table)}`,
    "docs/command-line.md": between(
      between(commandLine, "exit codes", exitCodes()),
      "commands",
      commands(),
    ),
    "README.md": between(readme, "options", options()),
  });
  const formatted = texts.map(async ([path, text]) => [path, await format(text, root)] as const);
  return new Map(await Promise.all(formatted));
}

/** Paths of documents that differ from what they should be. */
export async function outdated(): Promise<string[]> {
  const found: string[] = [];
  for (const [path, text] of await documents()) {
    const written = await Deno.readTextFile(join(root, path)).catch(() => undefined);
    if (written !== text) found.push(path);
  }
  return found;
}

if (import.meta.main) {
  const stale = await outdated();
  if (Deno.args.includes("--check")) {
    for (const path of stale) console.error(`${path} is out of date: run scripts/docs.ts`);
    Deno.exit(stale.length > 0 ? 1 : 0);
  }
  for (const [path, text] of await documents()) {
    if (stale.includes(path)) await Deno.writeTextFile(join(root, path), text);
  }
  console.log(stale.length === 0 ? "Nothing to do." : `Written: ${stale.join(", ")}`);
}
