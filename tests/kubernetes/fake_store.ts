/** Objects as an API server keeps them: versions, watches, owners; part of the fake API server. */
import type {
  KubernetesObject,
  ListMeta,
  Status,
  WatchEvent,
} from "../../lib/kubernetes/api/types.ts";

/** Any object of the store. */
export type Any = KubernetesObject & Record<string, unknown>;

/** A refusal, as the API words it. */
export class Refusal extends Error {
  /** The answer's body. */
  readonly status: Status & { code: number };

  /** Reasons are the API's. */
  constructor(code: number, reason: string, message: string, details: Status["details"] = {}) {
    super(message);
    this.status = {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message,
      reason,
      details,
      code,
    };
  }
}

interface Recorded {
  readonly version: number;
  readonly collection: string;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: Any;
  readonly previous?: Any;
}

/** Which objects, by labels and fields. */
export interface Selectors {
  readonly labels: string;
  readonly fields: string;
}

/** Objects by collection (`apis/batch/v1/namespaces/x/jobs`) and name. */
export class FakeStore {
  /** Told of every change. */
  readonly listeners = new Set<() => void>();
  readonly #collections = new Map<string, Map<string, Any>>();
  readonly #history: Recorded[] = [];
  #version = 1000;
  #compacted = 0;

  /** The present version. */
  get version(): string {
    return String(this.#version);
  }

  /** Forgets what has changed until now: watches from there get 410. */
  compact(): void {
    this.#version++;
    this.#compacted = this.#version;
    this.#history.length = 0;
  }

  get(collection: string, name: string): Any {
    const object = this.#collections.get(collection)?.get(name);
    if (object === undefined) throw notFound(collection, name);
    return object;
  }

  /** One page. Tokens hold the version at which the list began. */
  list(
    collection: string,
    selectors: Selectors,
    limit = Infinity,
    page?: string,
  ): { metadata: ListMeta; items: Any[] } {
    const [version = this.#version, from = 0] = page?.split(":").map(Number) ?? [];
    if (version < this.#compacted) {
      throw new Refusal(410, "Expired", "The provided continue parameter is too old");
    }
    const all = [...this.#collections.get(collection)?.values() ?? []]
      .filter((object) => matches(object, selectors));
    const items = all.slice(from, from + limit).map(({ kind: _, apiVersion: __, ...item }) => item);
    const rest = all.length - from - items.length;
    return {
      metadata: {
        resourceVersion: String(version),
        ...(rest > 0
          ? { continue: `${version}:${from + items.length}`, remainingItemCount: rest }
          : {}),
      },
      items,
    };
  }

  create(collection: string, object: Any, keep = true): Any {
    const { generateName } = object.metadata ?? {};
    const name = object.metadata?.name ??
      `${generateName ?? "unnamed-"}${crypto.randomUUID().slice(0, 5)}`;
    const collected = this.#collections.get(collection) ?? new Map();
    if (collected.has(name)) {
      const resource = collection.split("/").at(-1)!;
      throw new Refusal(409, "AlreadyExists", `${resource} "${name}" already exists`, { name });
    }
    const namespace = /\/namespaces\/([^/]+)\//.exec(collection)?.[1];
    const made: Any = {
      ...structuredClone(object),
      metadata: {
        ...object.metadata,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        uid: crypto.randomUUID(),
        creationTimestamp: now(),
        ...(keep ? { resourceVersion: this.#next() } : {}),
      },
    };
    if (!keep) return made;
    this.#collections.set(collection, collected);
    collected.set(name, made);
    this.#record({ collection, type: "ADDED", object: made });
    return made;
  }

  /** Puts fields over those that are there, as a merge patch does. */
  patch(collection: string, name: string, patch: unknown, keep = true): Any {
    const previous = this.get(collection, name);
    const object = merge(structuredClone(previous), patch) as Any;
    if (!keep) return object;
    object.metadata = { ...object.metadata, resourceVersion: this.#next() };
    this.#collections.get(collection)!.set(name, object);
    this.#record({ collection, type: "MODIFIED", object, previous });
    return object;
  }

  /** Deletes an object, and after it those that it owns. */
  remove(collection: string, name: string, options: { orphans?: boolean } = {}): Any {
    const previous = this.get(collection, name);
    const object = {
      ...previous,
      metadata: { ...previous.metadata, resourceVersion: this.#next() },
    };
    this.#collections.get(collection)!.delete(name);
    this.#record({ collection, type: "DELETED", object, previous });
    if (options.orphans) return object;
    for (const [other, collected] of this.#collections) {
      for (const [owned, { metadata }] of [...collected]) {
        const owners = metadata?.ownerReferences ?? [];
        if (owners.some(({ uid }) => uid === previous.metadata?.uid)) this.remove(other, owned);
      }
    }
    return object;
  }

  /** What has changed since a version, as a watch tells it. */
  since(
    collection: string,
    version: number,
    selectors: Selectors,
  ): { version: number; event: WatchEvent<Any> }[] {
    if (version < this.#compacted) {
      throw new Refusal(
        410,
        "Expired",
        `too old resource version: ${version} (${this.#compacted})`,
      );
    }
    const events: { version: number; event: WatchEvent<Any> }[] = [];
    for (const entry of this.#history) {
      if (entry.collection !== collection || entry.version <= version) continue;
      const { object, previous } = entry;
      const is = entry.type !== "DELETED" && matches(object, selectors);
      const was = previous !== undefined && matches(previous, selectors);
      if (!is && !was) continue;
      const type = !is ? "DELETED" : was ? "MODIFIED" : "ADDED";
      events.push({ version: entry.version, event: { type, object } });
    }
    return events;
  }

  #next(): string {
    return String(++this.#version);
  }

  #record(entry: Omit<Recorded, "version">): void {
    this.#history.push({ ...entry, version: Number(entry.object.metadata?.resourceVersion) });
    for (const tell of this.listeners) tell();
  }
}

/** The present time as Kubernetes writes it. */
export function now(): string {
  return new Date().toISOString().replace(/\.\d+/, "");
}

function notFound(collection: string, name: string): Refusal {
  const resource = collection.split("/").at(-1)!;
  return new Refusal(404, "NotFound", `${resource} "${name}" not found`, { name, kind: resource });
}

function merge(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result = isRecord(target) ? target : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merge(result[name], value);
  }
  return result;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function matches(object: Any, { labels, fields }: Selectors): boolean {
  return requirements(labels).every((one) => labelMatches(object.metadata?.labels ?? {}, one)) &&
    requirements(fields).every((one) => {
      const [path = "", value = ""] = one.split(/==?/);
      let found: unknown = object;
      for (const part of path.split(".")) found = isRecord(found) ? found[part] : undefined;
      return String(found ?? "") === value;
    });
}

/** The parts between commas, but for those within parentheses. */
function requirements(selector: string): string[] {
  return selector.split(/,(?![^(]*\))/).map((part) => part.trim()).filter((part) => part !== "");
}

function labelMatches(labels: Record<string, string>, requirement: string): boolean {
  const set = /^(\S+)\s+(in|notin)\s+\((.*)\)$/.exec(requirement);
  if (set !== null) {
    const within = set[3]!.split(",").map((value) => value.trim()).includes(labels[set[1]!] ?? "");
    return within === (set[2] === "in");
  }
  const equal = /^([^=!]+)(==?|!=)(.*)$/.exec(requirement);
  if (equal !== null) return (labels[equal[1]!] === equal[3]) === (equal[2] !== "!=");
  return requirement.startsWith("!") ? !(requirement.slice(1) in labels) : requirement in labels;
}
