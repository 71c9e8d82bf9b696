/** The steps of a start: environment, files, Python, entry script. */
import type { EnvironmentLease } from "../environments/store.ts";
import type { EnvironmentSpec } from "../environments/spec.ts";
import { settledWithin } from "../delay.ts";
import { hasCode, WorkerError } from "../errors.ts";
import type { OutputReceiver } from "../interpreter/options.ts";
import type { ProgressSink } from "../progress.ts";
import { stageFiles } from "../staging/stage.ts";
import type { BuildLimits } from "./build_limits.ts";
import { checkDevices } from "./devices.ts";
import type { Kernels } from "./kernels.ts";
import type { Session } from "./session.ts";
import { completeRequest, type StartRequest } from "./start_request.ts";

/** Gives environments; `EnvironmentStore` is the real one. */
export interface Environments {
  /** An environment of a spec, built when there is none. */
  acquire(
    spec: EnvironmentSpec,
    options: {
      signal?: AbortSignal;
      onProgress?: ProgressSink;
      refresh?: boolean;
      admit?: (key: string) => Disposable;
    },
  ): Promise<EnvironmentLease>;
}

/** Hooks of a start. */
export interface StartHooks {
  onProgress: ProgressSink;
  /** Receives the output of the entry script. */
  onOutput?: OutputReceiver;
  signal?: AbortSignal;
}

/** What the steps need. */
export interface StartParts {
  readonly environments: Environments;
  readonly kernels: Kernels;
  /** Environments that workspaces wait for. */
  readonly builds: BuildLimits;
  /** Variables of the worker that sessions get too. @default none */
  readonly passedVariables?: Readonly<Record<string, string>>;
  /** Most bytes of the files staged for one session. @default 50 GiB */
  readonly maxStageSize?: number;
}

const MAX_STAGE_SIZE = 50 * 2 ** 30;

/** Takes a session from its request to where it can be used. When it throws, the session is to be ended. */
export async function startSteps(
  session: Session,
  parts: StartParts,
  hooks: StartHooks,
): Promise<void> {
  const { request, signal } = session;
  const { onProgress } = hooks;
  onProgress({ type: "info", message: "Starting conda environment session", phase: "start" });
  const script = await readScript(request, signal, onProgress);
  session.request = await completeRequest(request, signal);
  const { passedVariables = {} } = parts;
  checkDevices(session.request.env, passedVariables, "the environment's variables");
  const { spec } = session.request;
  const lease = await parts.environments.acquire(spec, {
    signal,
    onProgress,
    admit: (key) => parts.builds.enter(request.workspace, key),
  });
  if (signal.aborted) {
    await lease.release();
    signal.throwIfAborted();
  }
  const staged = stage(session, parts.maxStageSize ?? MAX_STAGE_SIZE, onProgress);
  // Both are waited for whatever happens, so that a failure of one leaves nothing of the other behind.
  const [kernel] = await Promise.allSettled([parts.kernels.use(lease, signal), staged]);
  if (kernel.status === "rejected") {
    await staged.catch(() => {});
    throw kernel.reason;
  }
  await session.launch(kernel.value, lease.prefix);
  await staged;
  if (script !== undefined) await runScript(session, script, hooks);
}

async function readScript(
  { entryPoint, entryPointOptional, source }: StartRequest,
  signal: AbortSignal,
  onProgress: ProgressSink,
): Promise<string | undefined> {
  if (entryPoint === undefined) return undefined;
  onProgress({
    type: "info",
    message: `Fetching application script ${entryPoint}`,
    phase: "fetch",
  });
  const skip = (reason: string) => {
    onProgress({
      type: "warning",
      message: `The session starts without its entry script ${entryPoint}: ${reason}`,
    });
    return undefined;
  };
  if (source === undefined) return skip("there is no artifact to fetch it from");
  try {
    return await source.readText(entryPoint, { signal });
  } catch (error) {
    if (entryPointOptional && hasCode(error, "staging_failed")) return skip(error.message);
    throw error;
  }
}

async function stage(
  session: Session,
  maxBytes: number,
  onProgress: ProgressSink,
): Promise<void> {
  const { stage: entries, source } = session.request;
  if (entries.length === 0) return;
  if (source === undefined) {
    throw new WorkerError(
      "staging_failed",
      "Cannot stage files: the session has no artifact to fetch them from",
      { suggestion: "Give artifact_id, or app_id of an installed app, in config." },
    );
  }
  const { signal, workingDirectory } = session;
  await stageFiles(entries, source, workingDirectory, { signal, onProgress, maxBytes });
}

/** Runs the entry script as the first cell. One that serves for ever goes on while the session is used. */
async function runScript(
  session: Session,
  script: string,
  { onProgress, onOutput }: StartHooks,
): Promise<void> {
  const { request, signal } = session;
  const name = request.entryPoint!;
  onProgress({
    type: "info",
    message: `Executing initialization script ${name}`,
    phase: "script",
  });
  const running = session.execute({ code: script, filename: name, signal, onOutput });
  const { awaitedService: service } = request;
  const served = service === undefined
    ? new Promise<never>(() => {})
    : session.services.registered(`${request.workspace}/${request.clientId}:${service}`)
      .then(() => "served" as const);
  const result = await settledWithin(Promise.race([running, served]), request.timeout);
  if (result === undefined || result === "served") {
    const message = result === "served"
      ? `The service ${service} is registered`
      : `The entry script ${name} is still running; it goes on in the session`;
    onProgress({ type: "info", message });
    session.serving = true;
    running.catch(() => {}).finally(() => session.serving = false);
    return;
  }
  if (result.error !== undefined && !signal.aborted) {
    const { ename, evalue, traceback } = result.error;
    // A script that ends by itself has not failed.
    if (ename === "SystemExit" && (evalue === "" || evalue === "0" || evalue === "None")) return;
    throw new WorkerError(
      "init_script_failed",
      `Initialization script ${name} failed: ${ename}: ${evalue}\n${traceback.join("\n")}`,
      { context: { ename, evalue } },
    );
  }
}
