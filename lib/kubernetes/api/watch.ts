/**
 * A copy of the objects of one kind, kept current by watching.
 *
 * The objects are listed once, then watched from there: a stream tells every change. Each stream is asked to end
 * after about a minute, which costs one request, and is given up a little later when it did not: that bounds how long
 * a connection that was cut without a word can go unnoticed, and keeps below the idle limits of most proxies. A new
 * stream goes on where the last one ended; when the API no longer knows that place (410), the objects are listed
 * again, and what has changed meanwhile is told as if it had been watched.
 */
import { delay } from "../../delay.ts";
import { type Logger, silentLogger } from "../../log.ts";
import type { KubernetesClient } from "./client.ts";
import { errorOfStatus, KubernetesError } from "./errors.ts";
import { JsonLines } from "./json_lines.ts";
import { describe, type ResourcePath } from "./resource_path.ts";
import type { KubernetesObject, WatchEvent } from "./types.ts";

/** Options of {@linkcode Mirror}. */
export interface MirrorOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Told of outages. @default nothing is logged */
  readonly log?: Logger;
  /** How long a stream lasts, in seconds, give or take a quarter. @default 50 */
  readonly watchSeconds?: number;
  /** How long after its end a stream that is still silent is given up, in milliseconds. @default 15000 */
  readonly grace?: number;
  /** Milliseconds before the second try after a failure; doubles up to 30 s. @default 500 */
  readonly backOff?: number;
}

/** One object has become another, has come, or has gone. */
export interface Change<T> {
  readonly type: "added" | "modified" | "deleted";
  /** As it is now, or was at last. */
  readonly object: T;
  /** As it was before; not for `added`. */
  readonly previous?: T;
}

/** Objects in one page of a list. */
const PAGE = 500;

const MAX_BACK_OFF = 30_000;

/** How long a stream may take to begin before that is told of; it is tried on then (milliseconds). */
const OPEN_MS = 15_000;

/** So often a place is tried before the objects are listed again. */
const TRIES_OF_PLACE = 3;

/** Answers on the first list that trying again does not change. */
const FINAL = new Set([400, 401, 403, 404, 405, 406, 422]);

/** Objects by name, current but for the time that news takes. Works until it is disposed of. */
export class Mirror<T extends KubernetesObject> implements AsyncDisposable {
  /**
   * Resolves when the objects were listed for the first time. Rejects with KubernetesError when that cannot be, such
   * as `Forbidden`; the mirror is stopped then.
   */
  readonly ready: Promise<void>;
  readonly #client: KubernetesClient;
  readonly #path: ResourcePath;
  readonly #options: MirrorOptions;
  readonly #log: Logger;
  readonly #objects = new Map<string, T>();
  readonly #listeners = new Set<(change: Change<T>) => void>();
  readonly #waiters = new Set<{ look: () => void; end: (reason: unknown) => void }>();
  readonly #stop = new AbortController();
  readonly #firstList = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #version: string | undefined;
  /** Since the last stream that told something or came to its proper end. */
  #failures = 0;
  /** Lists since then that were due to the API having forgotten. */
  #forgotten = 0;
  #warned = false;
  #problem: string | undefined;
  #listed = false;

  /** Begins at once. */
  constructor(client: KubernetesClient, path: ResourcePath, options: MirrorOptions = {}) {
    this.#client = client;
    this.#path = path;
    this.#options = options;
    this.#log = options.log ?? silentLogger;
    this.ready = this.#firstList.promise;
    // Who never asks is not to be ended by it.
    this.ready.catch(() => {});
    this.#running = this.#run();
  }

  /** The object of this name, if it is there. */
  get(name: string): T | undefined {
    return this.#objects.get(name);
  }

  /** All objects. */
  values(): T[] {
    return [...this.#objects.values()];
  }

  /** Why the copy may be old, as long as the API cannot be reached or refuses; `undefined` when all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Calls the listener for every change from now on, in order. Disposing of the result ends that. */
  changes(listener: (change: Change<T>) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /**
   * Waits until the predicate gives something other than `undefined`, and gives that. It is asked at once, when the
   * objects were listed, after every change, and when a problem is over. Throws what it throws, the signal's reason,
   * or KubernetesError `Closed` when the mirror is stopped.
   */
  async wait<R>(
    predicate: (mirror: Mirror<T>) => R | undefined,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<R> {
    const { signal } = options;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    const waiter = {
      look: () => {
        try {
          const result = predicate(this);
          if (result !== undefined) resolve(result);
        } catch (error) {
          reject(error);
        }
      },
      end: reject,
    };
    const stop = () => reject(signal?.reason);
    signal?.addEventListener("abort", stop);
    this.#waiters.add(waiter);
    try {
      waiter.look();
      if (this.#stop.signal.aborted) reject(this.#stop.signal.reason);
      return await promise;
    } finally {
      this.#waiters.delete(waiter);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Stops; the objects stay as they were at last. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(
      new KubernetesError(`Cannot watch ${describe(this.#path)}: the watch is over`, 0, "Closed"),
    );
    await this.#running;
  }

  #end(reason: KubernetesError): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(reason);
    this.#firstList.reject(reason);
    for (const waiter of this.#waiters) waiter.end(reason);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#list();
        const begin = performance.now();
        const heard = await this.#watch(this.#version!);
        // A stream that ends at once, again and again, must not become a stream of requests.
        if (!heard && performance.now() - begin < 1000) throw new Error("the stream ends at once");
        this.#healthy();
      } catch (error) {
        if (signal.aborted) break;
        await this.#failed(error);
      }
    }
  }

  /** Decides how to go on after a failure, and waits as long as is due. */
  async #failed(error: unknown): Promise<void> {
    const known = error instanceof KubernetesError ? error : undefined;
    if (known?.reason === "Closed") return this.#end(known);
    if (known?.status === 410) {
      this.#version = undefined;
      // An API that has forgotten the place is well; one that forgets it each time is not.
      if (++this.#forgotten === 1) return;
    }
    this.#failures++;
    if (!this.#listed && known !== undefined && FINAL.has(known.status)) return this.#end(known);
    if (this.#failures >= TRIES_OF_PLACE) this.#version = undefined;
    const reason = error instanceof Error ? error.message : String(error);
    // What stands between cuts streams now and then: only that it does not go on is worth a word.
    if (this.#failures === 2 && !this.#warned) {
      this.#warned = true;
      this.#log.warning("Cannot watch; the state of jobs may be old until it works again", {
        resource: describe(this.#path),
        reason,
      });
    }
    this.#problem = reason;
    const wait = Math.min((this.#options.backOff ?? 500) * 2 ** (this.#failures - 1), MAX_BACK_OFF);
    await delay(wait * (0.75 + Math.random() / 2), this.#stop.signal).catch(() => {});
  }

  #recovered(): void {
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    if (this.#warned) this.#log.info("Watching works again", { resource: describe(this.#path) });
    this.#warned = false;
    for (const waiter of this.#waiters) waiter.look();
  }

  #healthy(): void {
    this.#failures = 0;
    this.#forgotten = 0;
  }

  async #list(): Promise<void> {
    const { labelSelector, fieldSelector } = this.#options;
    const found = new Map<string, T>();
    let version: string | undefined;
    let page: string | undefined;
    do {
      const list = await this.#client.list<T>(this.#path, {
        ...(labelSelector === undefined ? {} : { labelSelector }),
        ...(fieldSelector === undefined ? {} : { fieldSelector }),
        ...(page === undefined ? {} : { continue: page }),
        limit: PAGE,
        signal: this.#stop.signal,
      });
      for (const object of list.items) found.set(object.metadata?.name ?? "", object);
      version = list.metadata.resourceVersion;
      page = list.metadata.continue || undefined;
    } while (page !== undefined);
    for (const [name, object] of this.#objects) {
      const now = found.get(name);
      // Another object of the same name: the one that was there is gone.
      if (now === undefined || now.metadata?.uid !== object.metadata?.uid) this.#remove(object);
    }
    for (const object of found.values()) this.#put(object);
    this.#version = version ?? "0";
    this.#listed = true;
    this.#firstList.resolve();
    for (const waiter of this.#waiters) waiter.look();
  }

  /** Follows one stream to its end. Gives whether it told anything. */
  async #watch(version: string): Promise<boolean> {
    const { labelSelector, fieldSelector, watchSeconds = 50, grace = 15_000 } = this.#options;
    const seconds = Math.max(1, Math.round(watchSeconds * (0.75 + Math.random() / 2)));
    const until = performance.now() + seconds * 1000 + grace;
    using stream = await this.#client.open(this.#path, {
      query: {
        watch: true,
        allowWatchBookmarks: true,
        resourceVersion: version,
        timeoutSeconds: seconds,
        labelSelector,
        fieldSelector,
      },
      signal: this.#stop.signal,
      timeout: OPEN_MS,
    });
    this.#recovered();
    const lines = new JsonLines();
    let heard = false;
    for (;;) {
      const bytes = await stream.read(Math.max(1, until - performance.now()));
      if (bytes === undefined) return heard;
      for (const event of lines.push(bytes)) {
        this.#take(event as WatchEvent<T>);
        heard = true;
        // Only now: a stream may begin well, and then tell that it does not know the place.
        this.#healthy();
      }
    }
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === "ERROR") {
      throw errorOfStatus(`watch ${describe(this.#path)}`, event.object);
    }
    if (event.type === "DELETED") this.#remove(event.object);
    else if (event.type !== "BOOKMARK") this.#put(event.object);
    // Kept after the change was told: what is told twice does no harm, what is left out does.
    this.#version = event.object.metadata?.resourceVersion ?? this.#version;
  }

  #put(object: T): void {
    const name = object.metadata?.name ?? "";
    const previous = this.#objects.get(name);
    this.#objects.set(name, object);
    if (previous === undefined) this.#tell({ type: "added", object });
    else if (previous.metadata?.resourceVersion !== object.metadata?.resourceVersion) {
      this.#tell({ type: "modified", object, previous });
    }
  }

  #remove(object: T): void {
    const name = object.metadata?.name ?? "";
    const previous = this.#objects.get(name);
    if (previous === undefined) return;
    this.#objects.delete(name);
    this.#tell({ type: "deleted", object, previous });
  }

  #tell(change: Change<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        // One listener's mistake must not end the watch for all.
        this.#log.error("A listener of a watch failed", { reason: error });
      }
    }
    for (const waiter of this.#waiters) waiter.look();
  }
}
