/** Calls of Kubernetes' API. Knows nothing of what they are for. */
import { attempts, type Call, type Outcome } from "./attempts.ts";
import { ApiStream } from "./api_stream.ts";
import type { Configuration, Credentials } from "./credentials.ts";
import { hasReason, KubernetesError } from "./errors.ts";
import { describe, pathOf, type Query, type ResourcePath } from "./resource_path.ts";
import type { KubernetesObject, List } from "./types.ts";
import { openSocket, type WebSocketConnection } from "./websocket.ts";

/** Options of {@linkcode KubernetesClient}. */
export interface ClientOptions {
  /** Milliseconds for a call with all its tries. @default 60000 */
  readonly timeout?: number;
  /** Milliseconds for one try of a call that may be repeated. @default 20000 */
  readonly tryTimeout?: number;
  /** Milliseconds before the second try. @default 250 */
  readonly backOff?: number;
}

/** Options of every call. */
export interface CallOptions {
  /** Stops the call; it throws the signal's reason then. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the call with all its tries. @default the client's */
  readonly timeout?: number;
}

/** Options of calls that change something. */
export interface ChangeOptions extends CallOptions {
  /** Everything is checked, nothing is kept. @default false */
  readonly dryRun?: boolean;
}

/** Options of {@linkcode KubernetesClient.list}. */
export interface ListOptions extends CallOptions {
  /** For example `app=x,tier in (a,b)`. */
  readonly labelSelector?: string;
  /** For example `status.phase=Running`. */
  readonly fieldSelector?: string;
  /** Objects in one page. @default all */
  readonly limit?: number;
  /** Token of the page, from the page before. */
  readonly continue?: string;
  /** `"0"` lets the API answer from memory, which may be somewhat old. */
  readonly resourceVersion?: string;
}

/** Options of {@linkcode KubernetesClient.patch}. */
export interface PatchOptions extends ChangeOptions {
  /** How the patch is meant. @default "merge" */
  readonly type?: "merge" | "strategic" | "json";
}

/** Options of {@linkcode KubernetesClient.delete}. */
export interface DeleteOptions extends ChangeOptions {
  /** What becomes of the objects that it owns: `Background` deletes them afterwards. @default the resource's own */
  readonly propagationPolicy?: "Background" | "Foreground" | "Orphan";
  /** Seconds that a pod has for its end; 0 does not wait. */
  readonly gracePeriodSeconds?: number;
  /** Only this very object: otherwise `Conflict`. */
  readonly preconditions?: { uid?: string; resourceVersion?: string };
}

/** Options of {@linkcode KubernetesClient.open} and {@linkcode KubernetesClient.connect}. */
export interface StreamOptions extends CallOptions {
  readonly query?: Query;
}

const PATCH_TYPES = {
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  json: "application/json-patch+json",
};

/**
 * Speaks with one API, as one user. All calls throw {@linkcode KubernetesError}, or the signal's reason.
 *
 * Calls are repeated where that does no harm, see `attempts.ts`. Disposing ends all calls and streams; the
 * configuration stays its owner's.
 */
export class KubernetesClient implements Disposable {
  /** Where the API is and who we are. */
  readonly configuration: Configuration;
  readonly #closed = new AbortController();
  readonly #timeout: number;
  readonly #tryTimeout: number;
  readonly #backOff: number;

  /** Nothing is done before the first call. */
  constructor(configuration: Configuration, options: ClientOptions = {}) {
    this.configuration = configuration;
    this.#timeout = options.timeout ?? 60_000;
    this.#tryTimeout = options.tryTimeout ?? 20_000;
    this.#backOff = options.backOff ?? 250;
  }

  /** Reads one object. Throws `NotFound` when it is not there. */
  async get<T extends KubernetesObject>(
    path: ResourcePath,
    options: CallOptions = {},
  ): Promise<T> {
    return await this.#call<T>("GET", path, {}, undefined, options);
  }

  /** Reads one page of objects; all of them without `limit`. Throws `Expired` when a page's token is too old. */
  async list<T extends KubernetesObject>(
    path: ResourcePath,
    options: ListOptions = {},
  ): Promise<List<T>> {
    const { labelSelector, fieldSelector, limit, continue: page, resourceVersion } = options;
    const query = { labelSelector, fieldSelector, limit, continue: page, resourceVersion };
    const value = await this.#call<List<T>>("GET", path, query, undefined, options);
    // Go's empty lists may be null.
    return { ...value, metadata: value.metadata ?? {}, items: value.items ?? [] };
  }

  /**
   * Makes an object. Throws `AlreadyExists` when one of that name is there, `Invalid` when a field is wrong or
   * unknown. After `Unreachable` or `Timeout` it may have been made: only the answer is missing.
   */
  async create<T extends KubernetesObject>(
    path: ResourcePath,
    object: T,
    options: ChangeOptions = {},
  ): Promise<T> {
    const query = { ...dryRun(options), fieldValidation: "Strict" };
    const content = { type: "application/json", body: JSON.stringify(object) };
    return await this.#call<T>("POST", path, query, content, options);
  }

  /** Changes an object. */
  async patch<T extends KubernetesObject>(
    path: ResourcePath,
    patch: unknown,
    options: PatchOptions = {},
  ): Promise<T> {
    const content = { type: PATCH_TYPES[options.type ?? "merge"], body: JSON.stringify(patch) };
    return await this.#call<T>("PATCH", path, dryRun(options), content, options);
  }

  /** Deletes an object, or begins to. Throws `NotFound` when it is not there, `Conflict` when it is another one. */
  async delete(path: ResourcePath, options: DeleteOptions = {}): Promise<void> {
    const { propagationPolicy, gracePeriodSeconds, preconditions } = options;
    const body = JSON.stringify({
      kind: "DeleteOptions",
      apiVersion: "v1",
      propagationPolicy,
      gracePeriodSeconds,
      preconditions,
    });
    const content = { type: "application/json", body };
    try {
      await this.#call("DELETE", path, dryRun(options), content, options);
    } catch (error) {
      // An earlier try has done it, and only its answer was lost.
      if (!hasReason(error, "NotFound") || !error.maybeDone) throw error;
    }
  }

  /** Opens a stream, such as a watch or a log. The time limit is for its beginning only. */
  async open(path: ResourcePath, options: StreamOptions = {}): Promise<ApiStream> {
    const what = `read ${describe(path)}`;
    const { query = {}, signal } = options;
    return await attempts<ApiStream>(
      this.#bounds(what, true, options),
      this.configuration,
      this.#closed.signal,
      async (credentials, beginning) => {
        const stream = new ApiStream(what, credentials.server, [signal, this.#closed.signal]);
        const stop = () => stream[Symbol.dispose]();
        beginning.addEventListener("abort", stop);
        let opened = false;
        try {
          const response = await fetch(
            credentials.server + pathOf(path, query),
            this.#request("GET", credentials, stream.signal),
          );
          if (!response.ok) return await failure(response);
          stream.take(response);
          opened = true;
          return { value: stream };
        } catch (error) {
          // The stream's signal says only that, this one says why.
          throw beginning.aborted ? beginning.reason : error;
        } finally {
          beginning.removeEventListener("abort", stop);
          if (!opened) stop();
        }
      },
    );
  }

  /** Opens a WebSocket, for `exec`. The time limit is for its beginning only. */
  async connect(
    path: ResourcePath,
    options: StreamOptions & { readonly protocols: readonly string[] },
  ): Promise<WebSocketConnection> {
    const { query = {}, protocols } = options;
    const socket = await attempts<WebSocketConnection>(
      this.#bounds(`open ${describe(path)}`, false, options),
      this.configuration,
      this.#closed.signal,
      (credentials, signal) => openSocket(credentials, pathOf(path, query), protocols, signal),
    );
    const stop = () => socket[Symbol.dispose]();
    this.#closed.signal.addEventListener("abort", stop);
    socket.ended.then(() => this.#closed.signal.removeEventListener("abort", stop));
    return socket;
  }

  /** Ends all calls and streams. */
  [Symbol.dispose](): void {
    this.#closed.abort(new KubernetesError("Cannot go on: the client is closed", 0, "Closed"));
  }

  #bounds(what: string, idempotent: boolean, options: CallOptions): Call {
    const timeout = options.timeout ?? this.#timeout;
    const { signal } = options;
    return {
      what,
      idempotent,
      signal,
      timeout,
      tryTimeout: this.#tryTimeout,
      backOff: this.#backOff,
    };
  }

  #request(method: string, credentials: Credentials, signal: AbortSignal) {
    const { authorization, client } = credentials;
    const headers: Record<string, string> = {
      accept: "application/json",
      "user-agent": "hypha-conda-worker",
      ...(authorization === undefined ? {} : { authorization }),
    };
    // Following a redirection would show the token to whoever it leads to.
    return { method, headers, client, signal, redirect: "manual" as const };
  }

  async #call<T>(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: ResourcePath,
    query: Query,
    content: { type: string; body: string } | undefined,
    options: ChangeOptions & Partial<PatchOptions>,
  ): Promise<T> {
    const what = `${VERBS[method]} ${describe(path)}`;
    // A patch in the JSON form may say "append"; the others say how it shall be.
    const repeatable = method === "PATCH" ? options.type !== "json" : method !== "POST";
    const send = async (
      credentials: Credentials,
      signal: AbortSignal,
    ): Promise<Outcome<T>> => {
      const { headers, ...request } = this.#request(method, credentials, signal);
      const response = await fetch(credentials.server + pathOf(path, query), {
        ...request,
        headers: content === undefined ? headers : { ...headers, "content-type": content.type },
        ...(content === undefined ? {} : { body: content.body }),
      });
      if (!response.ok) return await failure(response);
      return { value: parse<T>(what, await response.text()) };
    };
    const bounds = this.#bounds(what, repeatable || options.dryRun === true, options);
    return await attempts(bounds, this.configuration, this.#closed.signal, send);
  }
}

const VERBS = { GET: "get", POST: "create", PATCH: "change", DELETE: "delete" };

function dryRun(options: ChangeOptions): Query {
  return options.dryRun ? { dryRun: "All" } : {};
}

async function failure(response: Response): Promise<Outcome<never>> {
  const body = await response.text();
  return { status: response.status, retryAfter: response.headers.get("retry-after"), body };
}

function parse<T>(what: string, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    // Not repeated: whoever answered that will do so again. The text may hold secrets and is not told.
    throw new KubernetesError(`Cannot ${what}: the answer is not JSON`, 0, "BadAnswer");
  }
}
