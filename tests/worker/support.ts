/** A worker over this machine's own Python: real sessions, fork servers and processes; environments are folders. */
import { join } from "@std/path";
import type { EnvironmentSpec } from "../../lib/environments/spec.ts";
import type { EnvironmentLease } from "../../lib/environments/store.ts";
import { installRuntime } from "../../lib/interpreter/runtime.ts";
import { Switchboard } from "../../lib/interpreter/switchboard.ts";
import { silentLogger } from "../../lib/log.ts";
import type { Manager } from "../../lib/managers/manager.ts";
import { Kernels } from "../../lib/worker/kernels.ts";
import { NO_LIMITS } from "../../lib/worker/session_limits.ts";
import type { StartRequest } from "../../lib/worker/start_request.ts";
import { Worker, type WorkerOptions } from "../../lib/worker/worker.ts";
import { delay } from "../../lib/delay.ts";
import { directManager } from "../interpreter/harness.ts";

/** Options of {@linkcode Bench.start}. */
export interface BenchOptions {
  /** Path of Python. @default `python3` */
  python?: string;
  /** Time until an environment is there (milliseconds). @default 0 */
  acquireTime?: () => number;
  /** Changes what starts programs. */
  manager?: (manager: Manager) => Manager;
  /** @default 300000 */
  linger?: number;
  worker?: Partial<WorkerOptions>;
}

/** A worker and what can be seen of it from outside. */
export class Bench implements AsyncDisposable {
  /** Leases that have been given and not been given back, by environment. */
  readonly leases = new Map<string, number>();
  #worker: Worker | undefined;

  private constructor(
    readonly directory: string,
    readonly switchboard: Switchboard,
    readonly sessions: string,
  ) {}

  /** Starts a worker without sessions. */
  static async start(options: BenchOptions = {}): Promise<Bench> {
    const directory = await Deno.makeTempDir({ prefix: "bench-" });
    const program = await installRuntime(directory);
    const switchboard = await Switchboard.open(directory, silentLogger);
    const bench = new Bench(directory, switchboard, join(directory, "sessions"));
    const direct = directManager(options.python ?? "python3");
    const kernels = new Kernels({
      manager: options.manager?.(direct) ?? direct,
      program,
      switchboard,
      log: silentLogger,
      ...(options.linger === undefined ? {} : { linger: options.linger }),
    });
    bench.#worker = new Worker({
      environments: {
        acquire: async (spec, { signal }) => {
          await delay(options.acquireTime?.() ?? 0, signal);
          return bench.#lease(join(directory, spec.packages[0] ?? "env"));
        },
      },
      kernels,
      switchboard,
      workingDirectory: bench.sessions,
      log: silentLogger,
      ...options.worker,
    });
    return bench;
  }

  get worker(): Worker {
    return this.#worker!;
  }

  #lease(prefix: string): EnvironmentLease {
    const change = (by: number) => this.leases.set(prefix, (this.leases.get(prefix) ?? 0) + by);
    change(1);
    let held = true;
    const release = () => {
      if (held) change(-1);
      held = false;
      return Promise.resolve();
    };
    return {
      key: "key",
      prefix,
      cached: true,
      variables: {},
      release,
      [Symbol.asyncDispose]: release,
    };
  }

  /** Leases that are held. */
  get held(): number {
    return [...this.leases.values()].reduce((sum, count) => sum + count, 0);
  }

  /** What starts a session. */
  request(id: string, more: Partial<StartRequest> = {}, environment = "env"): StartRequest {
    const spec = { packages: [environment], pip: [], channels: [] };
    return {
      id,
      workspace: "w",
      clientId: "c",
      appId: "a",
      manifest: {},
      spec: spec as unknown as EnvironmentSpec,
      stage: [],
      entryPoint: undefined,
      entryPointOptional: false,
      source: undefined,
      serverUrl: "http://127.0.0.1:9",
      token: undefined,
      disableSsl: false,
      limits: NO_LIMITS,
      env: {},
      argv: [""],
      controlled: false,
      awaitedService: undefined,
      timeout: 60_000,
      ...more,
    };
  }

  /** A request with an entry script. */
  scripted(id: string, script: string, more: Partial<StartRequest> = {}): StartRequest {
    const none = () => Promise.reject(new Error("there are no files"));
    return this.request(id, {
      entryPoint: "main.py",
      source: {
        name: "a script",
        readText: () => Promise.resolve(script),
        open: none,
        list: async function* () {},
      },
      ...more,
    });
  }

  /** Names of the sessions' directories that exist. */
  async directories(): Promise<string[]> {
    try {
      return (await Array.fromAsync(Deno.readDir(this.sessions))).map((entry) => entry.name);
    } catch {
      return [];
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker[Symbol.asyncDispose]();
    await this.switchboard[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Processes that stem from fork servers of this process, by the mark in their environment. */
export async function markedProcesses(): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const text = await Deno.readTextFile(`/proc/${name}/environ`).catch(() => "");
    if (text.includes(`HYPHA_KERNEL_ID=${Deno.pid}-`)) found.push(Number(name));
  }
  return found;
}

/** The process that a process is a child of; `undefined` when it is gone. */
export async function parentOf(pid: number): Promise<number | undefined> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => undefined);
  return text && Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]) || undefined;
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
