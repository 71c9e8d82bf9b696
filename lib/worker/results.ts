/** Results as they go out: plain JSON in the shapes of the Hypha contract. */
import type { ExecutionResult } from "../interpreter/outputs.ts";
import type { Session } from "./session.ts";

/** Result of `execute`: `{status, outputs, error}`, with `error: null` on success. */
export function executionResult(result: ExecutionResult): Record<string, unknown> {
  return { ...result, error: result.error ?? null };
}

/** Result of `execute_code`, the shape of the older worker API. */
export function codeResult(result: ExecutionResult): Record<string, unknown> {
  const text = (name: string) =>
    result.outputs.map((output) =>
      output.type === "stream" && output.name === name ? output.text : ""
    ).join("");
  const value = result.outputs.find((output) => output.type === "execute_result");
  return {
    success: result.status === "ok",
    result: value?.type === "execute_result" ? value.data["text/plain"] ?? null : null,
    error: result.error === undefined ? null : `${result.error.ename}: ${result.error.evalue}`,
    traceback: result.error?.traceback ?? null,
    stdout: text("stdout"),
    stderr: text("stderr"),
    outputs: result.outputs,
    timing: { execution_time: result.duration },
  };
}

/** Description of a session, the shape of the worker API's session data. */
export async function sessionInfo(session: Session): Promise<Record<string, unknown>> {
  const { request } = session;
  return {
    session_id: session.id,
    id: session.id,
    app_id: request.appId,
    workspace: request.workspace,
    client_id: request.clientId,
    status: session.state,
    app_type: request.manifest.type ?? "conda-jupyter-kernel",
    entry_point: request.entryPoint ?? null,
    created_at: session.createdAt.toISOString(),
    last_active: session.lastActive.toISOString(),
    working_directory: session.workingDirectory,
    dependencies: [...request.spec.packages, ...request.spec.pip],
    channels: [...request.spec.channels],
    python_version: session.pythonVersion ?? null,
    pid: session.pid ?? null,
    death: session.death ?? null,
    pending_executions: session.pendingExecutions,
    usage: await session.usage() ?? null,
    isolation: session.isolation ?? null,
    limits: {
      ...request.limits.resources,
      idle_timeout: seconds(request.limits.idleTimeout),
      max_lifetime: seconds(request.limits.maxLifetime),
    },
    metadata: {},
  };
}

/** Description of one session: also what it may use of the machine. */
export async function sessionDetails(session: Session): Promise<Record<string, unknown>> {
  const [info, resources] = await Promise.all([sessionInfo(session), session.resources()]);
  return { ...info, resources: resources ?? null };
}

function seconds(milliseconds: number | undefined): number | null {
  return milliseconds === undefined ? null : milliseconds / 1000;
}
