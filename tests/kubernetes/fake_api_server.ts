/**
 * A fake of Kubernetes' API server: keeps objects, lists and watches them, and has logs and `exec`. Nothing runs in it:
 * tests say what becomes of jobs and pods. It speaks HTTPS, asks for a token, and can fail in the ways that real
 * ones, and what stands before them, do.
 */
import type { Configuration } from "../../lib/kubernetes/api/credentials.ts";
import { FileConfiguration } from "../../lib/kubernetes/api/file_configuration.ts";
import { jobs, pathOf, pods, type ResourcePath } from "../../lib/kubernetes/api/resource_path.ts";
import type { Job, KubernetesObject, Pod, PodStatus } from "../../lib/kubernetes/api/types.ts";
import { authority, serverCertificate, serverKey } from "./certificates.ts";
import { FakeExec } from "./fake_exec.ts";
import { FakeLog } from "./fake_log.ts";
import { type Any, FakeStore, now, Refusal } from "./fake_store.ts";

export { FakeExec, FakeLog, Refusal };

/** A request that was made. */
export interface FakeRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
}

/** What a request meets in place of its answer: nothing until the server stops, a broken connection, or an answer. */
export type Fault = "hang" | "cut" | ((request: FakeRequest) => Response | Promise<Response>);

/** How watches come to their end before their time. */
export type WatchEnd = "end" | "cut" | "silence";

interface Address {
  readonly collection: string;
  readonly namespace: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** A server on this machine, on a port of its own. */
export class FakeApiServer implements AsyncDisposable {
  /** Tokens that are let in. */
  readonly tokens = new Set(["token-of-the-fake"]);
  /** All requests until now. */
  readonly requests: FakeRequest[] = [];
  readonly store = new FakeStore();
  /** Protocols that `exec` speaks. */
  protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
  /** What commands do; may be slow. By default they end with 0. */
  onExec: (exec: FakeExec) => unknown = (exec) => exec.exit(0);
  /** Whether deleted pods stay, terminating, until the test removes them. */
  podsLinger = false;
  readonly #faults: { match: RegExp; fault: Fault; left: number }[] = [];
  readonly #logs = new Map<string, FakeLog>();
  readonly #watches = new Set<(end: WatchEnd) => void>();
  readonly #arrivals = new Set<(request: FakeRequest) => void>();
  readonly #executions = new Set<Promise<unknown>>();
  #stop = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor() {
    this.#server = this.#listen(0);
  }

  /** Starts one. */
  static start(): FakeApiServer {
    return new FakeApiServer();
  }

  get url(): string {
    return `https://127.0.0.1:${this.#server.addr.port}`;
  }

  /** The certificate to trust. */
  get authority(): string {
    return authority;
  }

  /** How to reach it. */
  async configuration(token = "token-of-the-fake", namespace = "default"): Promise<Configuration> {
    return await FileConfiguration.open(
      "the fake",
      namespace,
      () => Promise.resolve({ server: this.url, token, tls: { caCerts: [authority] } }),
    );
  }

  /** A kubeconfig for it. */
  kubeconfig(token = "token-of-the-fake"): string {
    return JSON.stringify({
      "apiVersion": "v1",
      "kind": "Config",
      "current-context": "fake",
      "clusters": [{
        name: "fake",
        cluster: { "server": this.url, "certificate-authority-data": btoa(authority) },
      }],
      "users": [{ name: "user", user: { token } }],
      "contexts": [{ name: "fake", context: { cluster: "fake", user: "user" } }],
    });
  }

  /**
   * Lets requests fail whose `METHOD /path?query` matches, so many times. A function may also be asked to do something
   * at the time of a request.
   */
  fail(match: RegExp, fault: Fault, times = 1): void {
    this.#faults.push({ match, fault, left: times });
  }

  /** Resolves with the next request whose `METHOD /path?query` matches. */
  arrival(match: RegExp): Promise<FakeRequest> {
    return new Promise((resolve) => {
      const look = (request: FakeRequest) => {
        if (!match.test(`${request.method} ${request.path}`)) return;
        this.#arrivals.delete(look);
        resolve(request);
      };
      this.#arrivals.add(look);
    });
  }

  /** How many requests were made whose `METHOD /path?query` matches. */
  count(match: RegExp): number {
    return this.requests.filter(({ method, path }) => match.test(`${method} ${path}`)).length;
  }

  /** Streams of watches that are open. */
  get watches(): number {
    return this.#watches.size;
  }

  /** Ends all watches: properly, with a broken connection, or by never sending a byte again. */
  endWatches(end: WatchEnd): void {
    for (const watch of [...this.#watches]) watch(end);
  }

  /** Makes an object, as another client would. */
  create<T extends KubernetesObject>(path: ResourcePath, object: T): T {
    return this.store.create(collectionOf(path), object as T & Any) as unknown as T;
  }

  /** Changes an object, as another client would, with a merge patch. */
  patch<T extends KubernetesObject>(path: ResourcePath & { name?: string }, patch: unknown): T {
    return this.store.patch(collectionOf(path), path.name ?? "", patch) as unknown as T;
  }

  /** Deletes an object at once, with all it owns. */
  remove(path: ResourcePath): void {
    this.store.remove(collectionOf(path), path.name ?? "");
  }

  /** Makes the next pod of a job, as the job controller would. */
  startPod(namespace: string, job: string, status: PodStatus = { phase: "Pending" }): Pod {
    const owner = this.store.get(collectionOf(jobs(namespace)), job) as Job;
    const { template } = owner.spec!;
    const labels = { "batch.kubernetes.io/job-name": job, "job-name": job };
    return this.create<Pod>(pods(namespace), {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...template.metadata,
        name: `${job}-${crypto.randomUUID().slice(0, 5)}`,
        labels: { ...template.metadata?.labels, ...labels },
        ownerReferences: [{
          apiVersion: "batch/v1",
          kind: "Job",
          name: job,
          uid: owner.metadata!.uid!,
          controller: true,
        }],
      },
      ...(template.spec === undefined ? {} : { spec: template.spec }),
      status,
    });
  }

  /** The log of a container; made when it is first asked for. */
  log(pod: string, container = "main", run: "present" | "previous" = "present"): FakeLog {
    const key = `${pod}/${container}/${run}`;
    const log = this.#logs.get(key) ?? new FakeLog();
    this.#logs.set(key, log);
    return log;
  }

  /** Breaks all connections and is away until the result is called; objects stay. */
  async stop(): Promise<() => void> {
    const { port } = this.#server.addr;
    this.#stop.abort();
    await this.#server.finished;
    return () => {
      this.#stop = new AbortController();
      this.#server = this.#listen(port);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#server.finished;
    await Promise.allSettled(this.#executions);
  }

  #listen(port: number): Deno.HttpServer<Deno.NetAddr> {
    return Deno.serve({
      port,
      hostname: "127.0.0.1",
      cert: serverCertificate,
      key: serverKey,
      signal: this.#stop.signal,
      onListen: () => {},
      onError: (error) => {
        // The way to break a connection is an error in an answer's body; what else fails is a fault of the fake.
        if (error !== CUT) console.error("the fake API server failed:", error);
        return new Response(null, { status: 500 });
      },
    }, (request) => this.#answer(request));
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const { method, headers } = request;
    const path = url.pathname + url.search;
    const body = method === "GET" ? "" : await request.text();
    const made: FakeRequest = { method, path, headers, body };
    this.requests.push(made);
    for (const look of [...this.#arrivals]) look(made);
    const { signal } = this.#stop;
    const fault = this.#faults.find(({ match, left }) =>
      left > 0 && match.test(`${method} ${path}`)
    );
    if (fault !== undefined) {
      fault.left--;
      if (fault.fault === "cut") return new Response(broken());
      if (fault.fault !== "hang") return await fault.fault(made);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return new Response(null, { status: 503 });
    }
    try {
      const [, token = ""] = headers.get("authorization")?.split(" ") ?? [];
      if (!this.tokens.has(token)) throw new Refusal(401, "Unauthorized", "Unauthorized");
      return this.#handle(request, url, body, signal);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return Response.json(error.status, { status: error.status.code });
    }
  }

  #handle(request: Request, url: URL, body: string, signal: AbortSignal): Response {
    if (url.pathname === "/version") return Response.json({ gitVersion: "v1.34.0-fake" });
    const address = addressOf(url.pathname);
    const { collection, namespace, name, subresource } = address;
    const query = url.searchParams;
    const keep = query.get("dryRun") !== "All";
    if (collection.endsWith("/selfsubjectaccessreviews")) {
      return Response.json({ ...JSON.parse(body), status: { allowed: true } }, { status: 201 });
    }
    if (subresource === "log") return this.#log(address, query);
    if (subresource === "exec") return this.#exec(request, url, namespace, name!);
    const selectors = {
      labels: query.get("labelSelector") ?? "",
      fields: query.get("fieldSelector") ?? "",
    };
    switch (request.method) {
      case "GET":
        if (name !== undefined) return Response.json(this.store.get(collection, name));
        if (query.get("watch") === "true") {
          return new Response(this.#watch(collection, selectors, query, signal), {
            headers: { "content-type": "application/json" },
          });
        }
        return Response.json({
          kind: "List",
          apiVersion: "v1",
          ...this.store.list(
            collection,
            selectors,
            Number(query.get("limit") ?? Infinity),
            query.get("continue") ?? undefined,
          ),
        });
      case "POST":
        return Response.json(this.store.create(collection, JSON.parse(body), keep), {
          status: 201,
        });
      case "PATCH":
        return Response.json(this.store.patch(collection, name!, JSON.parse(body), keep));
      case "DELETE":
        return Response.json(this.#delete(collection, name!, JSON.parse(body || "{}"), keep));
      default:
        throw new Refusal(405, "MethodNotAllowed", `no ${request.method} here`);
    }
  }

  #delete(collection: string, name: string, options: Record<string, unknown>, keep: boolean) {
    const object = this.store.get(collection, name);
    const { uid } = (options["preconditions"] ?? {}) as { uid?: string };
    if (uid !== undefined && uid !== object.metadata?.uid) {
      throw new Refusal(409, "Conflict", `the UID in the precondition (${uid}) does not match`);
    }
    if (!keep) return object;
    if (collection.endsWith("/pods") && this.podsLinger && options["gracePeriodSeconds"] !== 0) {
      return this.store.patch(collection, name, { metadata: { deletionTimestamp: now() } });
    }
    const orphans = options["propagationPolicy"] === "Orphan";
    return this.store.remove(collection, name, { orphans });
  }

  #watch(
    collection: string,
    selectors: { labels: string; fields: string },
    query: URLSearchParams,
    signal: AbortSignal,
  ): ReadableStream<Uint8Array> {
    const { store } = this;
    const encoder = new TextEncoder();
    let version = Number(query.get("resourceVersion") ?? 0);
    let close = () => {};
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        const send = (event: unknown) =>
          controller.enqueue(encoder.encode(`${JSON.stringify(event)}\n`));
        const news = () => {
          try {
            for (const { version: at, event } of store.since(collection, version, selectors)) {
              version = at;
              send(event);
            }
          } catch (error) {
            if (!(error instanceof Refusal)) throw error;
            send({ type: "ERROR", object: error.status });
            end("end");
          }
        };
        const end = (how: WatchEnd) => {
          close();
          if (how === "end") {
            const metadata = { resourceVersion: store.version };
            if (query.get("allowWatchBookmarks") === "true" && version >= 1000) {
              send({ type: "BOOKMARK", object: { metadata } });
            }
            controller.close();
          }
          if (how === "cut") controller.error(CUT);
        };
        const timer = setTimeout(() => end("end"), Number(query.get("timeoutSeconds")) * 1000);
        const stop = () => end("cut");
        close = () => {
          clearTimeout(timer);
          store.listeners.delete(news);
          this.#watches.delete(end);
          signal.removeEventListener("abort", stop);
        };
        signal.addEventListener("abort", stop);
        this.#watches.add(end);
        store.listeners.add(news);
        news();
      },
      cancel: () => close(),
    });
  }

  #log({ collection, name, namespace }: Address, query: URLSearchParams): Response {
    this.store.get(collection, name!);
    const run = query.get("previous") === "true" ? "previous" : "present";
    const container = query.get("container");
    const key = container === null
      ? [...this.#logs.keys()].find((one) => one.startsWith(`${name}/`) && one.endsWith(run))
      : `${name}/${container}/${run}`;
    const log = this.#logs.get(key ?? "");
    if (log !== undefined) return log.answer(query);
    const which = container ?? "main";
    throw new Refusal(
      400,
      "BadRequest",
      run === "previous"
        ? `previous terminated container "${which}" in pod "${name}" not found`
        : `container "${which}" in pod "${name}" in namespace ${namespace} is waiting to start: ContainerCreating`,
    );
  }

  #exec(request: Request, url: URL, namespace: string, name: string): Response {
    this.store.get(collectionOf(pods(namespace)), name);
    const offered = request.headers.get("sec-websocket-protocol")?.split(/,\s*/) ?? [];
    const protocol = offered.find((one) => this.protocols.includes(one));
    if (protocol === undefined) {
      throw new Refusal(400, "BadRequest", "unable to upgrade: none of the protocols is known");
    }
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol, idleTimeout: 0 });
    const exec = new FakeExec(socket, namespace, name, url, protocol);
    socket.addEventListener("open", () => {
      const running = (async () => await this.onExec(exec))().catch((error) => {
        exec.end({ status: "Failure", reason: "InternalError", message: String(error) });
      });
      this.#executions.add(running);
      running.finally(() => this.#executions.delete(running));
    });
    return response;
  }
}

/** Breaks connections. */
const CUT = new Error("cut by the test");

/** A body whose connection breaks in its midst. */
function broken(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"kind":'));
    },
    pull(controller) {
      controller.error(CUT);
    },
  });
}

function collectionOf({ name: _, subresource: __, ...path }: ResourcePath): string {
  return pathOf(path).slice(1);
}

function addressOf(path: string): Address {
  const match =
    /^\/((?:api|apis\/[^/]+)\/[^/]+\/(?:namespaces\/([^/]+)\/)?[^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/
      .exec(path);
  if (match === null) throw new Refusal(404, "NotFound", "the server could not find it");
  const [, collection = "", namespace = "", name, subresource] = match;
  return { collection, namespace, name, subresource };
}
