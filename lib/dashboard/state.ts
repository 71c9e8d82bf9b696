/**
 * What the dashboard shows, as plain JSON of bounded size.
 *
 * Nothing is collected while nobody looks, and what several viewers ask for within a moment is collected once.
 */
import { createHash } from "node:crypto";
import type { EnvironmentEntry } from "../environments/admin.ts";
import type { EnvironmentSpec } from "../environments/spec.ts";
import { WorkerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { environmentInfo } from "../worker/environment_results.ts";
import type { LogEntry } from "../worker/session_log.ts";
import type { Build } from "./builds.ts";
import { Refreshed } from "./refreshed.ts";
import type { DashboardSources, ShownSession } from "./sources.ts";
import { UsageSampler } from "./usage.ts";

/** A collected state is given to whoever asks within this time (milliseconds). */
const SHARED_MS = 400;
/** How long the list of environments is good (milliseconds): to look at one takes its lock for a moment. */
const ENVIRONMENTS_MS = 10_000;
/** How long a slow disk holds up an answer (milliseconds). */
const ENVIRONMENTS_WAIT_MS = 1000;

/** The last output of a session whose log seems to be the same is looked for again after this (milliseconds). */
const OUTPUT_MS = 5000;

/** What is shown of long lists. */
const MAX_SESSIONS = 500;
const MAX_ENVIRONMENTS = 200;
const MAX_DEPENDENCIES = 40;
const MAX_DEPENDENCY = 200;
/** Characters of a session's last output in the list. */
const MAX_LAST_OUTPUT = 300;
/** Log entries and characters of a session that is looked at. */
const LONG = { entries: 400, characters: 40_000 };

/** A state as it goes out. */
export interface StateAnswer {
  /** JSON. */
  readonly body: string;
  /** Changes with the body. */
  readonly tag: string;
}

interface Found {
  entries: readonly EnvironmentEntry[];
  free: number | undefined;
}

interface LastOutput {
  readonly characters: number;
  readonly read: number;
  readonly output: Record<string, string> | null;
}

/** Collects what is shown. */
export class DashboardState {
  readonly #sources: DashboardSources;
  readonly #usage = new UsageSampler();
  readonly #environments: Refreshed<Found>;
  /** Where the log of a session ended when it was last read: reading on from there finds its end at once. */
  readonly #ends = new WeakMap<ShownSession, number>();
  /** The last outputs, by how much was in the log then: to read a long log takes a while. */
  readonly #outputs = new WeakMap<ShownSession, LastOutput>();
  #changes = -1;
  #answer: Promise<StateAnswer> | undefined;
  #answered = -Infinity;

  /** Nothing is collected before somebody asks. */
  constructor(sources: DashboardSources, log: Logger) {
    this.#sources = sources;
    this.#environments = new Refreshed({
      find: async () => {
        const [entries, free] = await Promise.all([sources.environments(), sources.freeBytes()]);
        return { entries, free };
      },
      fresh: ENVIRONMENTS_MS,
      wait: ENVIRONMENTS_WAIT_MS,
      log,
    });
  }

  /** Makes the next answer tell what has just been changed. */
  expire(): void {
    this.#environments.expire();
    this.#answer = undefined;
  }

  /** Everything but the log and the details of sessions. */
  async answer(): Promise<StateAnswer> {
    const now = performance.now();
    if (this.#answer === undefined || now - this.#answered >= SHARED_MS) {
      this.#answered = now;
      this.#answer = this.#collect().then((state) => {
        const body = JSON.stringify(state);
        return { body, tag: `"${createHash("sha256").update(body).digest("base64url")}"` };
      });
    }
    return await this.#answer;
  }

  async #collect(): Promise<Record<string, unknown>> {
    const { builds } = this.#sources;
    if (builds.changes !== this.#changes) this.#environments.expire();
    this.#changes = builds.changes;
    const all = this.#sources.sessions();
    const shown = all.slice(-MAX_SESSIONS).reverse();
    const [found, sessions] = await Promise.all([
      this.#environments.get(),
      Promise.all(shown.map((session) => this.#session(session))),
    ]);
    const memory = Deno.systemMemoryInfo();
    const users = new Map<string, number>();
    for (const session of all) {
      const key = builds.keyOf(session.request.spec);
      if (key !== undefined) users.set(key, (users.get(key) ?? 0) + 1);
    }
    const entries = found?.entries ?? [];
    return {
      worker: {
        ...this.#sources.worker(),
        pid: Deno.pid,
        // Rounded, so that an idle worker's state stays the same.
        memory_bytes: roundTo(Deno.memoryUsage().rss, 8 * 2 ** 20),
        machine_memory_bytes: memory.total,
        machine_memory_free_bytes: roundTo(memory.available, 64 * 2 ** 20),
        cache_free_bytes: found?.free === undefined ? null : roundTo(found.free, 64 * 2 ** 20),
      },
      sessions: { total: all.length, items: sessions },
      environments: {
        total: found === undefined ? null : entries.length,
        bytes: sizeOf(entries),
        items: entries.slice(0, MAX_ENVIRONMENTS).map((entry) => environment(entry, users)),
      },
      builds: builds.list().map((build) => this.#build(build, all)),
    };
  }

  async #session(session: ShownSession): Promise<Record<string, unknown>> {
    const { request } = session;
    const usage = await this.#usage.of(session);
    const pending = session.pendingExecutions;
    return {
      id: session.id,
      app_id: request.appId,
      workspace: request.workspace,
      state: session.state,
      busy: pending > 0,
      serving: session.serving,
      queued: Math.max(0, pending - 1),
      created_at: session.createdAt.toISOString(),
      last_active: session.lastActive.toISOString(),
      environment: this.#sources.builds.keyOf(request.spec) ?? null,
      python: session.pythonVersion ?? null,
      memory_bytes: usage === undefined ? null : roundTo(usage.memory_bytes, 2 ** 16),
      cpu_seconds: usage === undefined ? null : Math.round(usage.cpu_seconds * 100) / 100,
      cpus: usage?.cpus === undefined ? null : Math.round(usage.cpus * 100) / 100,
      processes: usage?.processes ?? null,
      last_output: this.#lastOutput(session),
    };
  }

  /** What is shown of a session that is looked at. Throws `session_not_found`. */
  async session(id: string): Promise<Record<string, unknown>> {
    const session = this.#sources.sessions().find((one) => one.id === id);
    if (session === undefined) {
      throw new WorkerError("session_not_found", `Cannot show session ${id}: it has ended`);
    }
    const { request } = session;
    return {
      ...await this.#session(session),
      client_id: request.clientId,
      app_type: request.manifest.type ?? null,
      entry_point: request.entryPoint ?? null,
      pid: session.pid ?? null,
      death: session.death?.reason ?? null,
      isolation: session.isolation ?? null,
      dependencies: dependencies(request.spec),
      channels: request.spec.channels.slice(0, MAX_DEPENDENCIES),
      limits: {
        ...request.limits.resources,
        idle_timeout: seconds(request.limits.idleTimeout),
        max_lifetime: seconds(request.limits.maxLifetime),
      },
      output: last(this.#tail(session, LONG.entries), LONG.characters),
    };
  }

  #lastOutput(session: ShownSession): Record<string, string> | null {
    const { characters } = session.log;
    const now = performance.now();
    let known = this.#outputs.get(session);
    if (known?.characters !== characters || now - known.read >= OUTPUT_MS) {
      const output = last(this.#tail(session, 1), MAX_LAST_OUTPUT).at(-1) ?? null;
      known = { characters, read: now, output };
      this.#outputs.set(session, known);
    }
    return known.output;
  }

  /** The last entries of a session's log. */
  #tail(session: ShownSession, entries: number): LogEntry[] {
    const from = Math.max(0, (this.#ends.get(session) ?? 0) - entries);
    const page = session.log.page(undefined, from, undefined);
    this.#ends.set(session, page.total);
    return page.items.slice(-entries);
  }

  #build(build: Build, sessions: readonly ShownSession[]): Record<string, unknown> {
    const { builds } = this.#sources;
    return {
      id: build.id,
      state: build.state,
      dependencies: dependencies(build.spec),
      started: build.started.toISOString(),
      ended: build.ended?.toISOString() ?? null,
      phase: build.phase,
      message: build.message,
      percent: build.percent ?? null,
      packages: build.packages ?? null,
      bytes: build.bytes ?? null,
      waiting: build.waiting,
      environment: build.key ?? null,
      sessions: sessions.filter(({ request: { spec } }) =>
        spec === build.spec || (build.key !== undefined && builds.keyOf(spec) === build.key)
      ).slice(0, MAX_DEPENDENCIES).map((session) => session.id),
    };
  }
}

function environment(
  entry: EnvironmentEntry,
  users: ReadonlyMap<string, number>,
): Record<string, unknown> {
  const { dependencies: _dependencies, channels: _channels, ...info } = environmentInfo(entry);
  return {
    ...info,
    dependencies: entry.spec === undefined ? [] : dependencies(entry.spec),
    sessions: users.get(entry.key) ?? 0,
  };
}

/** Bytes of environments, of those whose size is known; `null` when that is none. */
function sizeOf(entries: readonly EnvironmentEntry[]): number | null {
  const sizes = entries.flatMap((one) => one.bytes?.own ?? []);
  return sizes.length === 0 ? null : sizes.reduce((sum, one) => sum + one, 0);
}

/** What was asked for, in short. */
function dependencies(spec: EnvironmentSpec): string[] {
  if (spec.existing !== undefined) return ["an existing environment"];
  const locked = spec.explicit?.length ?? 0;
  const all = [
    ...(locked > 0 ? [`${locked} locked packages`] : []),
    ...spec.packages,
    ...spec.pip.map((requirement) => `pip: ${requirement}`),
  ];
  const shown = all.slice(0, MAX_DEPENDENCIES).map((one) => one.slice(0, MAX_DEPENDENCY));
  return all.length > shown.length ? [...shown, `… ${all.length - shown.length} more`] : shown;
}

/** The last entries that fit into so many characters; the first of them may be cut at its beginning. */
function last(entries: readonly LogEntry[], characters: number): Record<string, string>[] {
  const kept: Record<string, string>[] = [];
  for (let i = entries.length - 1; i >= 0 && characters > 0; i--) {
    const { type, content, timestamp } = entries[i]!;
    const text = content.slice(-characters);
    characters -= content.length;
    kept.unshift({ type, text, time: timestamp });
  }
  return kept;
}

function roundTo(value: number, step: number): number {
  return Math.round(value / step) * step;
}

function seconds(milliseconds: number | undefined): number | null {
  return milliseconds === undefined ? null : milliseconds / 1000;
}
