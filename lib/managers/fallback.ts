/**
 * The manager the worker works with: the preferred one, and the others behind it for when that is broken.
 *
 * The others are looked for only then, so that the start of the worker waits for one manager alone. Kind and
 * family stay those of the preferred one, also when another has stood in: what is told of the worker, and the
 * keys of its environments, must not change because a program crashed once. Solvers of both families take the
 * same specs, so an environment that the other family made serves as well; `create` tells who made it.
 */
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { removeTree } from "../remove_tree.ts";
import { cancelledError, reasonOf, remedyOf, startError } from "./errors.ts";
import type {
  CreateRequest,
  ExecuteOptions,
  Execution,
  Made,
  Manager,
  ManagerFamily,
  ManagerKind,
  PipRequest,
  Program,
  RunOptions,
} from "./manager.ts";
import { type Pause, withRecovery } from "./recovery.ts";

/** For how long a broken manager is left alone, in milliseconds. */
const BROKEN_MS = 10 * 60_000;

/** Options of {@linkcode FallbackManager}. */
export interface FallbackOptions {
  readonly preferred: Manager;
  /** The others, in order of preference. Asked for the next one only when it is needed. */
  readonly others: AsyncIterator<Manager, void>;
  readonly log: Logger;
  /** Waits between two tries. @default a timer */
  readonly pause?: Pause;
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

/** Several managers as one. */
export class FallbackManager implements Manager {
  readonly kind: ManagerKind;
  readonly family: ManagerFamily;
  readonly version: string;
  readonly command: string;
  readonly usesConfiguration: boolean;
  readonly #options: FallbackOptions;
  readonly #known: Manager[];
  readonly #brokenSince = new Map<Manager, number>();
  /** The one that has last shown that it works. */
  #proven: Manager | undefined;

  constructor(options: FallbackOptions) {
    const { preferred } = options;
    this.#options = options;
    this.#known = [preferred];
    this.kind = preferred.kind;
    this.family = preferred.family;
    this.version = preferred.version;
    this.command = preferred.command;
    this.usesConfiguration = preferred.usesConfiguration;
  }

  async create(request: CreateRequest): Promise<Made> {
    const { log, pause } = this.#options;
    // Children of a killed manager may still be writing for a moment.
    const cleanUp = () => removeTree(request.prefix);
    return await this.#first(
      (manager) =>
        withRecovery(() => manager.create(request), {
          cleanUp,
          packageCache: request.packageCache,
          log,
          onProgress: request.onProgress,
          signal: request.signal,
          ...(pause === undefined ? {} : { pause }),
        }),
      async (failed, next) => {
        const message = `${failed.kind} does not work; trying ${next.kind}`;
        request.onProgress?.({ type: "warning", message, phase: "retry" });
        await cleanUp();
      },
      request.signal,
    );
  }

  async installPip(request: PipRequest): Promise<void> {
    const { log, pause } = this.#options;
    await this.#first(
      (manager) =>
        withRecovery(() => manager.installPip(request), {
          // pip goes on where it was.
          cleanUp: () => Promise.resolve(),
          log,
          onProgress: request.onProgress,
          signal: request.signal,
          ...(pause === undefined ? {} : { pause }),
        }),
      undefined,
      request.signal,
    );
  }

  async execute(
    prefix: string,
    argv: readonly string[],
    options: ExecuteOptions = {},
  ): Promise<Execution> {
    return await this.#first(async (manager) => {
      const execution = await manager.execute(prefix, argv, options);
      if (execution.started !== false || execution.cancelled) return execution;
      throw startError(manager.kind, reasonOf(execution));
    });
  }

  async run(prefix: string, argv: readonly string[], options: RunOptions): Promise<Program> {
    const first = this.#serving();
    try {
      return await first.run(prefix, argv, options);
    } catch (error) {
      if (remedyOf(error) !== "other") throw error;
      this.#markBroken(first);
      const next = this.#serving();
      if (next === first) throw error;
      return await next.run(prefix, argv, options);
    }
  }

  prepare(): void {
    this.#serving().prepare();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#known.map((manager) => manager[Symbol.asyncDispose]()));
  }

  /** Works with the first manager that is not broken. Throws the error of the first when they all are. */
  async #first<T>(
    work: (manager: Manager) => Promise<T>,
    between?: (failed: Manager, next: Manager) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<T> {
    let failed: { manager: Manager; error: unknown } | undefined;
    for await (const manager of this.#healthy()) {
      if (failed !== undefined) {
        this.#options.log.warning("package manager failed; using the next", {
          manager: failed.manager.kind,
          next: manager.kind,
          reason: messageOf(failed.error).split("\n")[0],
        });
        await between?.(failed.manager, manager);
        if (signal?.aborted) throw cancelledError();
      }
      try {
        const result = await work(manager);
        this.#brokenSince.delete(manager);
        this.#proven = manager;
        return result;
      } catch (error) {
        if (remedyOf(error) !== "other" || signal?.aborted) throw error;
        this.#markBroken(manager);
        failed = { manager, error: failed?.error ?? error };
      }
    }
    throw failed?.error;
  }

  /** Managers that are worth a try, the preferred first; when all are broken there is nothing to lose. */
  async *#healthy(): AsyncGenerator<Manager, void> {
    let any = false;
    for await (const manager of this.#all()) {
      if (this.#isBroken(manager)) continue;
      any = true;
      yield manager;
    }
    if (!any) yield* this.#known;
  }

  async *#all(): AsyncGenerator<Manager, void> {
    for (let index = 0;; index++) {
      if (this.#known[index] === undefined) {
        const next = await this.#options.others.next();
        if (!next.done) this.#known.push(next.value);
        // Whoever asked at the same time may have got it.
        else if (this.#known[index] === undefined) return;
      }
      yield this.#known[index]!;
    }
  }

  #markBroken(manager: Manager): void {
    this.#brokenSince.set(manager, (this.#options.now ?? Date.now)());
    if (this.#proven === manager) this.#proven = undefined;
  }

  #isBroken(manager: Manager): boolean {
    const since = this.#brokenSince.get(manager);
    return since !== undefined && (this.#options.now ?? Date.now)() - since < BROKEN_MS;
  }

  /** Who runs programs, for which any manager is as good. */
  #serving(): Manager {
    return this.#proven ?? this.#known.find((manager) => !this.#isBroken(manager)) ??
      this.#known[0]!;
  }
}
