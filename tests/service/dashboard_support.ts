/** A dashboard over made-up sessions, builds and environments: also such as a real worker refuses to have. */
import { Builds } from "../../lib/dashboard/builds.ts";
import { type Dashboard, startDashboard } from "../../lib/dashboard/dashboard.ts";
import { LogTail } from "../../lib/dashboard/log_tail.ts";
import type { ShownSession, WorkerFacts } from "../../lib/dashboard/sources.ts";
import type { EnvironmentEntry } from "../../lib/environments/admin.ts";
import type { EnvironmentSpec } from "../../lib/environments/spec.ts";
import type { EnvironmentLease } from "../../lib/environments/store.ts";
import { WorkerError } from "../../lib/errors.ts";
import { createLogger } from "../../lib/log.ts";
import type { ProgressSink } from "../../lib/progress.ts";
import { SessionLog } from "../../lib/worker/session_log.ts";
import { NO_LIMITS } from "../../lib/worker/session_limits.ts";
import type { StartRequest } from "../../lib/worker/start_request.ts";

export const TOKEN = "a-token-of-the-tests";

/** What a made-up session is like. */
export type SessionLike = Partial<Omit<ShownSession, "request" | "log">> & {
  request?: Partial<StartRequest>;
  output?: (log: SessionLog) => void;
};

/** A spec of packages. */
export function specOf(...packages: string[]): EnvironmentSpec {
  return { channels: ["conda-forge"], packages, pip: [] };
}

/** A made-up session. */
export function sessionLike(id: string, more: SessionLike = {}): ShownSession {
  const { request, output, ...rest } = more;
  const log = new SessionLog();
  output?.(log);
  return {
    id,
    state: "running",
    createdAt: new Date(Date.now() - 754_000),
    lastActive: new Date(Date.now() - 12_000),
    pendingExecutions: 0,
    serving: false,
    pid: 4711,
    death: undefined,
    pythonVersion: "3.11.9",
    isolation: undefined,
    usage: () => Promise.resolve({ cpu_seconds: 1.5, memory_bytes: 48_000_000, processes: 2 }),
    log,
    request: {
      id,
      workspace: "ws-user-1",
      clientId: "client-1",
      appId: "plotter",
      manifest: { type: "conda-jupyter-kernel" },
      spec: specOf("python=3.11", "numpy"),
      entryPoint: "main.py",
      limits: NO_LIMITS,
      ...request,
    } as StartRequest,
    ...rest,
  };
}

/** A made-up environment. */
export function environmentLike(
  key: string,
  more: Partial<EnvironmentEntry> = {},
): EnvironmentEntry {
  return {
    key,
    prefix: `/cache/envs/${key}`,
    state: "ready",
    spec: specOf("python=3.11", "numpy"),
    python: "3.11.9",
    manager: { kind: "mamba", version: "2.1.0" },
    created: new Date(Date.now() - 86_400_000).toISOString(),
    lastUsed: new Date(Date.now() - 90_000).toISOString(),
    buildMs: 21_000,
    bytes: { own: 412_000_000, shared: 230_000_000 },
    packageCount: 41,
    inUse: false,
    pids: [],
    ...more,
  };
}

/** Starts a build; the result tells progress and ends it. */
export function beginBuild(builds: Builds, spec: EnvironmentSpec): {
  tell: ProgressSink;
  end: (key: string) => void;
  fail: (error: Error) => void;
  settled: Promise<unknown>;
} {
  const lease = Promise.withResolvers<EnvironmentLease>();
  const sink = Promise.withResolvers<ProgressSink>();
  const settled = builds.watch({
    acquire: (_spec, { onProgress }) => {
      sink.resolve(onProgress!);
      return lease.promise;
    },
  }).acquire(spec, {}).catch(() => {});
  let tell: ProgressSink = () => {};
  sink.promise.then((one) => tell = one);
  return {
    tell: (progress) => tell(progress),
    end: (key) => {
      const release = () => Promise.resolve();
      const rest = { prefix: `/cache/envs/${key}`, cached: false, variables: {} };
      lease.resolve({ key, ...rest, release, [Symbol.asyncDispose]: release });
    },
    fail: (error) => lease.reject(error),
    settled,
  };
}

/** A dashboard and what it shows. */
export class Made implements AsyncDisposable {
  sessions: ShownSession[] = [];
  environments: EnvironmentEntry[] = [];
  facts: Partial<WorkerFacts> = {};
  readonly builds = new Builds();
  readonly tail = new LogTail();
  /** What was done, in order. */
  readonly done: string[] = [];
  /** How often sessions were looked at. */
  looks = 0;
  /** What actions wait for. */
  hold: Promise<void> = Promise.resolve();
  readonly log = createLogger({ write: (line) => this.tail.add(line) });
  readonly #dashboard: Dashboard;

  /** Starts it on a free port. */
  constructor(options: { hostname?: string; hosts?: string[] } = {}) {
    const act = async (what: string) => {
      await this.hold;
      if (what.includes("nobody")) {
        throw new WorkerError("session_not_found", "Cannot find session nobody: it has ended");
      }
      this.done.push(what);
    };
    this.#dashboard = startDashboard({
      port: 0,
      token: TOKEN,
      ...options,
      sources: {
        worker: () => ({
          version: "0.1.0",
          manager: "mamba 2.1.0",
          server_url: "https://hypha.example",
          workspace: "ws-user-1",
          service_id: "ws-user-1/conda-worker-1:conda-worker",
          client_id: "conda-worker-1",
          visibility: "protected",
          state: "connected",
          reconnects: 0,
          last_contact: new Date().toISOString(),
          started_at: new Date(Date.now() - 93_784_000).toISOString(),
          load: this.sessions.length / 200,
          max_sessions: null,
          isolation: "auto",
          cache_dir: "/var/cache/hypha",
          ...this.facts,
        }),
        sessions: () => {
          this.looks++;
          return this.sessions;
        },
        environments: () => Promise.resolve(this.environments),
        freeBytes: () => Promise.resolve(182e9),
        builds: this.builds,
        log: this.tail,
      },
      actions: {
        stop: (id) => act(`stop ${id}`),
        interrupt: async (id) => {
          await act(`interrupt ${id}`);
          return true;
        },
        remove: (key) => act(`remove ${key}`),
      },
      log: this.log,
    });
  }

  get url(): string {
    return this.#dashboard.url;
  }

  get port(): number {
    return this.#dashboard.port;
  }

  /** The link that opens it. */
  get link(): string {
    return `${this.url}#token=${TOKEN}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dashboard[Symbol.asyncDispose]();
  }
}

/** Fills it with what an ordinary day brings. */
export async function fill(made: Made): Promise<void> {
  const used = specOf("python=3.11", "numpy", "matplotlib");
  const built = beginBuild(made.builds, used);
  await Promise.resolve();
  built.tell({ type: "info", message: "Solving environment", phase: "solve" });
  built.end("3f0c9a41b2d7e586");
  await built.settled;
  const failed = beginBuild(made.builds, specOf("python=3.12", "tensorflow=1.4"));
  await Promise.resolve();
  failed.tell({ type: "info", message: "Solving environment", phase: "solve" });
  failed.fail(
    new WorkerError(
      "solver_conflict",
      "Cannot create the environment: nothing provides tensorflow 1.4* with python 3.12*",
    ),
  );
  await failed.settled;
  const running = beginBuild(made.builds, specOf("python=3.11", "pytorch", "scikit-image"));
  await Promise.resolve();
  running.tell({
    type: "info",
    message: "Downloading packages: 212.4 of 611.0 MB",
    phase: "download",
    percent: 34,
    bytes: { done: 212_400_000, total: 611_000_000 },
  });
  made.sessions = [
    sessionLike("ws-user-1/_rapp_dim-river-30214857__rlb:default", {
      request: { appId: "cell-segmentation", spec: used },
      pendingExecutions: 3,
      output: (log) => {
        log.add("progress", "Starting conda environment session");
        log.write("stdout", "epoch 1  loss 0.8134\nepoch 2  loss 0.5521\n");
        log.write("stdout", "epoch 3  loss 0.4012  \u001b[32mbest so far\u001b[0m\n");
      },
    }),
    sessionLike("notebook-of-ada", {
      request: { appId: "notebook", workspace: "ws-ada", spec: used },
      output: (log) => log.write("stdout", "array([0, 1, 2, 3, 4])\n"),
    }),
    sessionLike("broken-pipe", {
      state: "dead",
      request: { appId: "loader", workspace: "ws-grace" },
      usage: () => Promise.resolve(undefined),
      death: {
        code: null,
        signal: "SIGKILL",
        reason: "its Python process ended with SIGKILL",
        stderr: "",
      },
      output: (log) =>
        log.add(
          "error",
          "\u001b[31mMemoryError\u001b[0m: Unable to allocate 64.0 GiB for an array",
        ),
    }),
    sessionLike("warming-up", {
      state: "starting",
      request: { spec: specOf("python=3.11", "pytorch", "scikit-image"), appId: "classifier" },
      usage: () => Promise.resolve(undefined),
      createdAt: new Date(Date.now() - 41_000),
      output: (log) => log.add("progress", "Downloading packages: 212.4 of 611.0 MB"),
    }),
  ];
  made.environments = [
    environmentLike("3f0c9a41b2d7e586", { spec: used, inUse: true, pids: [Deno.pid] }),
    environmentLike("9b1d77e02c4aa013", { pids: [99_999], inUse: true }),
    environmentLike("c4417dd0912ab6fe", {
      state: "broken",
      reason: "python is missing",
      lastUsed: new Date(Date.now() - 9 * 86_400_000).toISOString(),
    }),
  ];
  made.log.info("Status server listens", { address: "http://127.0.0.1:9090" });
  made.log.info("Starting session", { session: "notebook-of-ada", app: "notebook" });
  made.log.info("call", { method: "start", outcome: "ok", ms: 84.2, caller: "ws-ada" });
  made.log.warning("Session died", { session: "broken-pipe", reason: "SIGKILL" });
  made.log.error("Lost the fork server of an environment and its sessions", { cause: "SIGKILL" });
}
