/**
 * Reads kubeconfig files (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/).
 *
 * Several files count as one: of entries with the same name, and of current contexts, the first wins. Paths in a file
 * start from its folder.
 */
import { dirname, resolve } from "@std/path";
import { parse } from "@std/yaml";
import { messageOf, WorkerError } from "../../errors.ts";
import type { Settings } from "./file_configuration.ts";

/** What a kubeconfig says of one context. */
export interface Kubeconfig {
  /** For messages: context and files. */
  readonly source: string;
  readonly namespace: string;
  readonly settings: Settings;
  /** What in it only `kubectl` can do; the settings are not enough then. */
  readonly needsKubectl?: string;
}

/** An entry, its fields, and the folder that its paths start from. */
interface Entry {
  readonly fields: Record<string, unknown>;
  readonly folder: string;
}

type Kind = "clusters" | "users" | "contexts";
const FIELD: Record<Kind, string> = { clusters: "cluster", users: "user", contexts: "context" };

/**
 * Reads files and chooses a context.
 *
 * @throws Deno.errors.NotFound when none of the files is there
 * @throws WorkerError `connection_failed` when they cannot be used
 */
export async function loadKubeconfig(files: string, context?: string): Promise<Kubeconfig> {
  const entries: Record<Kind, Map<string, Entry>> = {
    clusters: new Map(),
    users: new Map(),
    contexts: new Map(),
  };
  const current = await readAll(files, entries);
  const name = context ?? current;
  const source = `context ${name} of ${files}`;
  const chosen = name === undefined ? undefined : entries.contexts.get(name);
  if (name === undefined || chosen === undefined) {
    const known = [...entries.contexts.keys()].join(", ") || "none";
    throw refused(
      files,
      name === undefined ? "it has no current context" : `it has no context ${name}`,
      `Choose one of its contexts with --context: ${known}.`,
    );
  }
  const cluster = entries.clusters.get(text(chosen, "cluster") ?? "");
  if (cluster === undefined) throw refused(source, "its cluster is not in the file");
  const user = entries.users.get(text(chosen, "user") ?? "") ?? { fields: {}, folder: "." };
  const namespace = text(chosen, "namespace") ?? "default";
  const server = text(cluster, "server")?.replace(/\/+$/, "");
  if (server === undefined || !/^https?:\/\/[^/]/.test(server)) {
    throw refused(source, "its server is no http or https address");
  }
  const needsKubectl = unusual(cluster, user);
  // Files that are of no use without kubectl need not even be there.
  if (needsKubectl !== undefined) {
    return { source, namespace, settings: { server, tls: {} }, needsKubectl };
  }
  try {
    return { source, namespace, settings: await settingsOf(server, cluster, user) };
  } catch (error) {
    throw refused(source, messageOf(error));
  }
}

async function readAll(
  files: string,
  entries: Record<Kind, Map<string, Entry>>,
): Promise<string | undefined> {
  const separator = Deno.build.os === "windows" ? ";" : ":";
  let current: string | undefined;
  let missing: unknown;
  let found = false;
  for (const file of files.split(separator).filter((part) => part !== "")) {
    let content: unknown;
    try {
      content = parse(await Deno.readTextFile(file));
    } catch (error) {
      missing = error;
      if (error instanceof Deno.errors.NotFound) continue;
      // What the parser says may show the line, and with it a token.
      throw refused(file, error instanceof SyntaxError ? "it is not YAML" : messageOf(error));
    }
    found = true;
    if (!isRecord(content)) throw refused(file, "it is no kubeconfig");
    const own = content["current-context"];
    if (typeof own === "string" && own !== "") current ??= own;
    for (const kind of ["clusters", "users", "contexts"] as const) {
      const list = Array.isArray(content[kind]) ? content[kind] : [];
      for (const item of list.filter(isRecord)) {
        const { name } = item;
        const fields = item[FIELD[kind]];
        if (typeof name !== "string" || entries[kind].has(name)) continue;
        entries[kind].set(name, {
          fields: isRecord(fields) ? fields : {},
          folder: dirname(resolve(file)),
        });
      }
    }
  }
  if (!found) throw missing ?? new Deno.errors.NotFound(`there is no file in ${files}`);
  return current;
}

/** What there is that the runtime cannot do. */
function unusual(cluster: Entry, user: Entry): string | undefined {
  if (cluster.fields["insecure-skip-tls-verify"] === true) return "insecure-skip-tls-verify";
  for (const field of ["tls-server-name", "proxy-url"]) {
    if (text(cluster, field) !== undefined) return field;
  }
  for (const field of ["exec", "auth-provider"]) {
    if (isRecord(user.fields[field])) return field;
  }
  return ["as", "as-uid", "as-groups", "as-user-extra"].find((field) => {
    const value = user.fields[field];
    return Array.isArray(value) ? value.length > 0 : isRecord(value) || (value ?? "") !== "";
  });
}

async function settingsOf(server: string, cluster: Entry, user: Entry): Promise<Settings> {
  const authority = await content(cluster, "certificate-authority");
  const cert = await content(user, "client-certificate");
  const key = await content(user, "client-key");
  if ((cert === undefined) !== (key === undefined)) {
    throw new Error("a client certificate needs its key");
  }
  const tokenFile = text(user, "tokenFile");
  const token = tokenFile === undefined
    ? text(user, "token")
    : (await Deno.readTextFile(resolve(user.folder, tokenFile))).trim();
  const username = text(user, "username");
  return {
    server,
    tls: {
      ...(authority === undefined ? {} : { caCerts: [authority] }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    },
    ...(token === undefined ? {} : { token }),
    ...(username === undefined
      ? {}
      : { login: { username, password: text(user, "password") ?? "" } }),
  };
}

/** What stands in the field with `-data`, or in the file that the field names. */
async function content(entry: Entry, field: string): Promise<string | undefined> {
  const data = text(entry, `${field}-data`);
  if (data !== undefined) {
    try {
      return atob(data.replace(/\s+/g, ""));
    } catch {
      throw new Error(`${field}-data is not base64`);
    }
  }
  const file = text(entry, field);
  return file === undefined ? undefined : await Deno.readTextFile(resolve(entry.folder, file));
}

/** A text that is not empty. */
function text(entry: Entry, field: string): string | undefined {
  const value = entry.fields[field];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(source: string, reason: string, suggestion?: string): WorkerError {
  return new WorkerError("connection_failed", `Cannot use ${source}: ${reason}`, {
    suggestion: suggestion ?? "Check the kubeconfig; kubectl should work with it.",
  });
}
