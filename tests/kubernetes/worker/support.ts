/** A Kubernetes worker over the fake API server. Tests say what becomes of pods. */
import { KubernetesClient } from "../../../lib/kubernetes/api/client.ts";
import { jobs, pods } from "../../../lib/kubernetes/api/resource_path.ts";
import type { ContainerStatus, Job, Pod, PodStatus } from "../../../lib/kubernetes/api/types.ts";
import { DEFAULT_JOB_SETTINGS, type JobSettings } from "../../../lib/kubernetes/jobs/settings.ts";
import { kubernetesMethods } from "../../../lib/kubernetes/worker/methods.ts";
import {
  KubernetesWorker,
  type KubernetesWorkerOptions,
} from "../../../lib/kubernetes/worker/worker.ts";
import { silentLogger } from "../../../lib/log.ts";
import type { Progress } from "../../../lib/progress.ts";
import type { AccessRules } from "../../../lib/worker/access.ts";
import type { Caller } from "../../../lib/worker/caller.ts";
import type { Method } from "../../../lib/worker/method.ts";
import { FakeApiServer } from "../fake_api_server.ts";

export const NAMESPACE = "jobs";

/** The worker of workspace `home`. */
export const RULES: AccessRules = {
  workspace: "home",
  public: false,
  authorizedWorkspaces: ["ws-a", "ws-b"],
};

/** An ordinary member of a workspace. */
export function member(workspace: string): Caller {
  return { kind: "direct", workspace, user: "user-1", anonymous: false, admin: false };
}

export const OPERATOR: Caller = { ...member("home"), admin: true };

export const CONTROLLER: Caller = {
  kind: "controller",
  workspace: "public",
  user: "root",
  anonymous: false,
  admin: true,
};

/** Options of {@linkcode Bench.start}. */
export interface BenchOptions {
  readonly settings?: Partial<JobSettings>;
  readonly worker?: Partial<KubernetesWorkerOptions>;
}

/** Options of {@linkcode Bench.call}. */
export interface CallOptions {
  readonly caller?: Caller;
  readonly signal?: AbortSignal;
}

/** A worker, its methods, and the cluster. */
export class Bench implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  #methods: Method[] = [];
  #worker: KubernetesWorker | undefined;
  /** What services the Hypha server has, by the ids they are asked for. */
  readonly services = new Map<string, string>();
  /** Messages of the last start. */
  progress: Progress[] = [];
  #told = Promise.withResolvers<void>();

  private constructor(readonly api: FakeApiServer, readonly options: BenchOptions) {}

  /** Starts a worker; `api` is a cluster that is there already, and stays. */
  static async start(options: BenchOptions = {}, api?: FakeApiServer): Promise<Bench> {
    const bench = new Bench(api ?? FakeApiServer.start(), options);
    if (api === undefined) bench.#stack.use(bench.api);
    const configuration = bench.#stack.use(await bench.api.configuration());
    const client = bench.#stack.use(new KubernetesClient(configuration, { backOff: 5 }));
    const settings: JobSettings = {
      ...DEFAULT_JOB_SETTINGS,
      namespace: NAMESPACE,
      workerId: "home/k8s-worker",
      workspace: "home",
      serverUrl: "http://hypha.test:9520",
      ...options.settings,
    };
    bench.#worker = bench.#stack.use(
      await KubernetesWorker.open({
        client,
        settings,
        log: silentLogger,
        find: (id) => Promise.resolve(bench.services.get(id)),
        ...options.worker,
      }),
    );
    bench.#methods = kubernetesMethods({
      worker: bench.worker,
      rules: RULES,
      settings,
      serverUrl: settings.serverUrl,
      podServerUrl: undefined,
      onShutdown: () => {},
    });
    return bench;
  }

  get worker(): KubernetesWorker {
    return this.#worker!;
  }

  /** Calls a method, as the service room does. */
  async call<T = Record<string, unknown>>(
    name: string,
    args: Record<string, unknown>,
    { caller = member("ws-a"), signal = new AbortController().signal }: CallOptions = {},
  ): Promise<T> {
    const method = this.#methods.find((one) => one.name === name)!;
    return await method.handler(args, { caller, signal }) as T;
  }

  /** Begins a start. */
  start(
    manifest: Record<string, unknown>,
    config: Record<string, unknown> = {},
    options: CallOptions = {},
  ): Promise<string> {
    this.progress = [];
    const started = this.call<string>("start", {
      config: { manifest, ...config },
      "progress_callback": (message: unknown) => {
        this.progress.push(message as Progress);
        this.#told.resolve();
        this.#told = Promise.withResolvers();
      },
    }, options);
    started.catch(() => {});
    return started;
  }

  /** Resolves when the last start has told something. */
  async told(text: string): Promise<void> {
    while (!this.progress.some(({ message }) => message.includes(text))) await this.#told.promise;
  }

  /** Starts a job, and lets its pod run. */
  async running(
    manifest: Record<string, unknown>,
    config: Record<string, unknown> = {},
    options: CallOptions = {},
  ): Promise<{ id: string; pod: string; job: string }> {
    const created = this.api.arrival(/^POST .*\/jobs\?/);
    const started = this.start(manifest, config, options);
    // A start that is refused creates nothing.
    await Promise.race([created, started]);
    const job = await this.job((await created).body);
    const { metadata } = this.api.startPod(NAMESPACE, job, runs());
    return { id: await started, job, pod: metadata!.name! };
  }

  /** Name of a job that is being created, as soon as it is there. */
  async job(body: string): Promise<string> {
    const name = (JSON.parse(body) as Job).metadata!.name!;
    await this.until(() => this.jobs().some((job) => job.metadata!.name === name));
    return name;
  }

  /** Name of the next job that is created. */
  async nextJob(): Promise<string> {
    return await this.job((await this.api.arrival(/^POST .*\/jobs\?/)).body);
  }

  jobs(): Job[] {
    return this.#all<Job>(`apis/batch/v1/namespaces/${NAMESPACE}/jobs`);
  }

  pods(): Pod[] {
    return this.#all<Pod>(`api/v1/namespaces/${NAMESPACE}/pods`);
  }

  secrets(): Pod[] {
    return this.#all<Pod>(`api/v1/namespaces/${NAMESPACE}/secrets`);
  }

  #all<T>(collection: string): T[] {
    return this.api.store.list(collection, { labels: "", fields: "" }, Infinity).items as T[];
  }

  /** Resolves when something holds of what the cluster has. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const look = () => {
          this.api.store.listeners.delete(look);
          resolve();
        };
        this.api.store.listeners.add(look);
      });
    }
  }

  /** Resolves when something holds of what the worker knows of a session. */
  async known(
    id: string,
    condition: (info: Record<string, unknown>) => boolean,
  ): Promise<Record<string, unknown>> {
    const session = this.worker.anySession(id);
    for (;;) {
      const { revision } = session;
      const info = await this.call("get_session_info", { "session_id": id }, {
        caller: CONTROLLER,
      });
      if (condition(info)) return info;
      await session.changedWithin(60_000, revision, new AbortController().signal);
    }
  }

  /** Changes the status of a pod. */
  setPod(pod: string, status: PodStatus): void {
    this.api.patch(pods(NAMESPACE, pod), { status });
  }

  /** Changes the status of a job. */
  setJob(job: string, status: Job["status"]): void {
    this.api.patch(jobs(NAMESPACE, job), { status });
  }

  /** What the log of a session has of a type. */
  async log(id: string, type = "stdout", caller: Caller = CONTROLLER): Promise<string[]> {
    const page = await this.call<{ items: { content: string }[] }>("get_logs", {
      "session_id": id,
      type,
    }, { caller });
    return page.items.map((item) => item.content);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function container(state: Partial<ContainerStatus>, name: string): ContainerStatus {
  return { name, image: "", imageID: "", ready: false, restartCount: 0, ...state };
}

/** A pod whose container runs. */
export function runs(restartCount = 0, name = "main"): PodStatus {
  return {
    phase: "Running",
    containerStatuses: [
      container({ restartCount, state: { running: { startedAt: "2024-01-01T00:00:00Z" } } }, name),
    ],
  };
}

/** A pod whose container waits. */
export function waits(reason: string, message = "", name = "main"): PodStatus {
  return {
    phase: "Pending",
    containerStatuses: [container({ state: { waiting: { reason, message } } }, name)],
  };
}

/** A pod whose container has ended. */
export function ended(exitCode: number, reason = "Error", name = "main"): PodStatus {
  return {
    phase: exitCode === 0 ? "Succeeded" : "Failed",
    containerStatuses: [
      container({
        state: { terminated: { exitCode, reason, finishedAt: "2024-01-01T00:01:00Z" } },
      }, name),
    ],
  };
}

/** A job that prints. */
export const JOB = { type: "k8s-job", image: "python:3.11", command: ["python", "-V"] };
