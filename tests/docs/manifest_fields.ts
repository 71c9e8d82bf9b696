/** Which fields of a manifest the code looks at, found by watching it. */
import { parse as parseYaml } from "@std/yaml";
import { EVERYTHING_LOCAL } from "../../lib/environments/policy.ts";
import { limitsOf, NO_LIMITS } from "../../lib/worker/session_limits.ts";
import { compileManifest, type Manifest } from "../../lib/worker/compile.ts";
import { readManifest } from "../../lib/worker/start_request.ts";
import { prepareStart, type StartContext } from "../../lib/worker/start_method.ts";
import type { Caller } from "../../lib/worker/caller.ts";

/** A manifest that notes the names that are asked for, also in the mappings it holds. */
export function watched(manifest: Manifest, seen: Set<string>, path = ""): Manifest {
  const note = (name: string | symbol) => {
    if (typeof name === "string") seen.add(path + name);
  };
  return new Proxy(manifest, {
    get: (target, name, receiver) => {
      note(name);
      const value = Reflect.get(target, name, receiver);
      const isMapping = typeof value === "object" && value !== null && !Array.isArray(value);
      return isMapping && typeof name === "string"
        ? watched(value as Manifest, seen, `${path}${name}.`)
        : value;
    },
    has: (target, name) => {
      note(name);
      return Reflect.has(target, name);
    },
    getOwnPropertyDescriptor: (target, name) => {
      note(name);
      return Reflect.getOwnPropertyDescriptor(target, name);
    },
  });
}

/** The top-level names the worker reads when an app is installed and started. */
export function fieldsRead(): Set<string> {
  const seen = new Set<string>();
  const caller: Caller = {
    kind: "controller",
    workspace: "public",
    user: "root",
    anonymous: false,
    admin: true,
  };
  const context: StartContext = {
    rules: { workspace: "ws", public: false, authorizedWorkspaces: undefined },
    serverUrl: "http://127.0.0.1",
    token: undefined,
    disableSsl: false,
    limits: NO_LIMITS,
    policy: EVERYTHING_LOCAL,
  };
  for (const manifest of [{}, { startup_config: {} }]) {
    compileManifest(watched(manifest, seen));
    readManifest(watched(manifest, seen), undefined, EVERYTHING_LOCAL);
    limitsOf(watched(manifest, seen), NO_LIMITS);
    prepareStart(
      { workspace: "ws", client_id: "c", manifest: watched(manifest, seen) },
      caller,
      context,
    );
  }
  return seen;
}

/** Reads a manifest as a start does. Throws what a start would. */
export function checkManifest(manifest: Manifest): void {
  readManifest(compileManifest(manifest, EVERYTHING_LOCAL), undefined, EVERYTHING_LOCAL);
  limitsOf(manifest, NO_LIMITS);
}

/** One row of the reference, docs/manifest.md. */
export interface FieldRow {
  readonly name: string;
  readonly type: string;
  readonly initial: string;
  readonly meaning: string;
  readonly example: string;
}

/** The rows of all tables of the reference whose first column is "Field". */
export function referenceRows(document: string): FieldRow[] {
  const rows: FieldRow[] = [];
  let inside = false;
  for (const line of document.split("\n")) {
    if (!line.startsWith("|")) {
      inside = false;
      continue;
    }
    // A bar within a cell is written \|.
    const cells = line.split(/(?<!\\)\|/).slice(1, -1).map((cell) =>
      cell.trim().replaceAll("\\|", "|")
    );
    if (cells[0] === "Field") inside = true;
    else if (inside && !/^-+$/.test(cells[0]!)) {
      const [name = "", type = "", initial = "", meaning = "", example = ""] = cells;
      rows.push({ name: name.replaceAll("`", ""), type, initial, meaning, example });
    }
  }
  return rows;
}

/** The example of a row as a manifest. Throws when it is no YAML mapping in backquotes. */
export function exampleOf(row: FieldRow): Manifest {
  const text = /^`([^`]+)`$/.exec(row.example)?.[1];
  const value = text === undefined ? undefined : parseYaml(text);
  if (typeof value !== "object" || value === null) {
    throw new Error(`the example of ${row.name} is no manifest: ${row.example}`);
  }
  return value as Manifest;
}
