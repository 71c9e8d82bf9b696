/** The method table of the Kubernetes worker; see `lib/worker/method.ts`. */
import { settledWithin } from "../../delay.ts";
import type { ProgressSink } from "../../progress.ts";
import {
  administrationMethods,
  compileMethod,
  listSessionsMethod,
  loadMethod,
  logsMethod,
  sessionOf,
  stopMethod,
} from "../../worker/common_methods.ts";
import type { Method, Notify } from "../../worker/method.ts";
import { PROGRESS, progressOf, SESSION_ID } from "../../worker/parameters.ts";
import { compileManifest } from "./compile.ts";
import { execute } from "./execute_method.ts";
import type { KubernetesMethodContext } from "./method_support.ts";
import { sessionDetails, sessionInfo } from "./results.ts";
import { prepareStart } from "./start_request.ts";
import { START_CONFIG } from "./start_schema.ts";

/** How long new output may take to come before a page is given without it (milliseconds). */
const CATCH_UP_TIME = 10_000;

/** The methods of a Kubernetes worker. */
export function kubernetesMethods(context: KubernetesMethodContext): Method[] {
  return [
    compile(context),
    start(context),
    execute(context),
    stopMethod(
      context,
      "Ends a session: deletes its job and waits until its pods are gone or are ending. A session that has ended is " +
        "no error. Returns nothing.",
    ),
    logsMethod(
      context,
      "Reads a session's log: what its pods have written, the one after the other, and what has happened to them. Also " +
        "while it starts, and for a while after it has ended. Standard output and errors of a pod are one stream. Returns " +
        "{items, total, offset, limit}.",
      (session) => settledWithin(session.catchUp(), CATCH_UP_TIME),
    ),
    listSessionsMethod(
      context,
      "Lists the sessions of a workspace whose jobs are there, also those that have finished. Returns a list of " +
        "{session_id, status, message, app_id, …}.",
      sessionInfo,
    ),
    sessionInfoMethod(context),
    loadMethod(context),
    ...administrationMethods(context),
  ];
}

function compile(context: KubernetesMethodContext): Method {
  return compileMethod({
    manifest: { type: "k8s-job", image: "python:3.11", command: ["python", "-V"] },
    file: { path: "readme.md", content: "# Hello", format: "text" },
    config: "Facts about the server and the workspace of the app.",
  }, (manifest, args, { caller }) => {
    const config = args.config as Record<string, unknown> | undefined;
    const workspace = caller.kind === "controller" && typeof config?.workspace === "string"
      ? config.workspace
      : caller.workspace;
    return compileManifest(manifest, { workspace, caller, context });
  });
}

function start(context: KubernetesMethodContext): Method {
  return {
    name: "start",
    description:
      "Starts a Kubernetes job for an app and waits until its pod runs or has succeeded, with wait_for_service until " +
      "its service is registered. Returns the session's id.",
    parameters: [{ name: "config", required: true, schema: START_CONFIG }, PROGRESS],
    handler: async (args, call) => {
      const { progress_callback: nested, ...config } = args.config as Record<string, unknown>;
      const prepared = prepareStart(config, call.caller, context);
      // The controller puts the user's callback into the config.
      const onProgress: ProgressSink = typeof nested === "function"
        ? nested as Notify
        : progressOf(args);
      const session = await context.worker.start(prepared, { onProgress, signal: call.signal });
      // The id the caller chose, which it will use; the session's own has the workspace in front.
      return typeof config.id === "string" ? config.id : session.id;
    },
  };
}

function sessionInfoMethod(context: KubernetesMethodContext): Method {
  return {
    name: "get_session_info",
    description:
      "Describes a session, also one that has ended. Returns status (starting, running, succeeded, failed, stopping, " +
      "stopped), message in words, Kubernetes' reason, exit_code, restarts, job, pod, node, image, times, limits in " +
      "seconds, and all pods.",
    parameters: [SESSION_ID],
    handler: (args, call) =>
      Promise.resolve(sessionDetails(sessionOf(context, args, call, "inspect"))),
  };
}
