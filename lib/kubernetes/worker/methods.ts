/** The method table of the Kubernetes worker; see `lib/worker/method.ts`. */
import { settledWithin } from "../../delay.ts";
import { hasCode } from "../../errors.ts";
import type { ProgressSink } from "../../progress.ts";
import { checkOperator, checkOwner, mayUse } from "../../worker/access.ts";
import type { Method, Notify, Parameter } from "../../worker/method.ts";
import { PROGRESS, progressOf, SESSION_ID } from "../../worker/parameters.ts";
import { LOG_TYPES, type LogType } from "../../worker/session_log.ts";
import { compileManifest } from "./compile.ts";
import { execute } from "./execute_method.ts";
import { sessionDetails, sessionInfo } from "./results.ts";
import type { KubernetesSession } from "./session.ts";
import { type KubernetesMethodContext, sessionOf } from "./method_support.ts";
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
    stop(context),
    getLogs(context),
    ...inspection(context),
    ...administration(context),
  ];
}

function compile(context: KubernetesMethodContext): Method {
  return {
    name: "compile",
    description:
      "Checks an app's manifest and fills in its defaults before the app is installed. Returns [manifest, files].",
    parameters: [
      {
        name: "manifest",
        required: true,
        schema: {
          type: "object",
          description: "The app's manifest.",
          additionalProperties: true,
          examples: [{ type: "k8s-job", image: "python:3.11", command: ["python", "-V"] }],
        },
      },
      {
        name: "files",
        schema: {
          type: "array",
          description: "The app's files; returned as they are.",
          items: { description: "Path, content and format of a file." },
          examples: [[{ path: "readme.md", content: "# Hello", format: "text" }]],
        },
      },
      {
        name: "config",
        schema: {
          type: "object",
          description: "Facts about the server and the workspace of the app.",
          additionalProperties: true,
          examples: [{ workspace: "my-workspace" }],
        },
      },
    ],
    handler: (args, { caller }) => {
      const config = args.config as Record<string, unknown> | undefined;
      const workspace = caller.kind === "controller" && typeof config?.workspace === "string"
        ? config.workspace
        : caller.workspace;
      const manifest = compileManifest(args.manifest as Record<string, unknown>, {
        workspace,
        caller,
        context,
      });
      return Promise.resolve([manifest, args.files ?? []]);
    },
  };
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

function stop(context: KubernetesMethodContext): Method {
  return {
    name: "stop",
    description:
      "Ends a session: deletes its job and waits until its pods are gone or are ending. A session that has ended is " +
      "no error. Returns nothing.",
    parameters: [SESSION_ID],
    handler: async (args, call) => {
      try {
        await context.worker.stop(sessionOf(context, args, call, "stop").id);
      } catch (error) {
        if (!hasCode(error, "session_not_found")) throw error;
      }
      return null;
    },
  };
}

function getLogs(context: KubernetesMethodContext): Method {
  return {
    name: "get_logs",
    description:
      "Reads a session's log: what its pods have written, the one after the other, and what has happened to them. Also " +
      "while it starts, and for a while after it has ended. Standard output and errors of a pod are one stream. Returns " +
      "{items, total, offset, limit}.",
    parameters: [
      SESSION_ID,
      {
        name: "type",
        schema: { type: "string", enum: LOG_TYPES, description: "Only entries of this type." },
      },
      {
        name: "offset",
        schema: { type: "integer", minimum: 0, default: 0, description: "First entry." },
      },
      {
        name: "limit",
        schema: {
          type: "integer",
          minimum: 0,
          description: "Most entries to return. Default: all.",
          examples: [100],
        },
      },
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "read the log of");
      await settledWithin(session.catchUp(), CATCH_UP_TIME);
      return session.log.page(
        args.type as LogType | undefined,
        (args.offset as number | undefined) ?? 0,
        args.limit as number | undefined,
      );
    },
  };
}

function inspection(context: KubernetesMethodContext): Method[] {
  return [
    {
      name: "list_sessions",
      description:
        "Lists the sessions of a workspace whose jobs are there, also those that have finished. Returns a list of " +
        "{session_id, status, message, app_id, …}.",
      parameters: [{
        name: "workspace",
        schema: {
          type: "string",
          description: "The workspace. Default: the caller's own.",
          examples: ["my-workspace"],
        },
      }],
      handler: (args, { caller }) => {
        const workspace = (args.workspace as string | undefined) ?? caller.workspace;
        checkOwner(caller, workspace, `list the sessions of workspace ${workspace}`);
        return Promise.resolve(
          context.worker.sessions.filter((session) => session.facts.workspace === workspace)
            .map(sessionInfo),
        );
      },
    },
    {
      name: "get_session_info",
      description:
        "Describes a session, also one that has ended. Returns status (starting, running, succeeded, failed, stopping, " +
        "stopped), message in words, Kubernetes' reason, exit_code, restarts, job, pod, node, image, times, limits in " +
        "seconds, and all pods.",
      parameters: [SESSION_ID],
      handler: (args, call) =>
        Promise.resolve(sessionDetails(sessionOf(context, args, call, "inspect"))),
    },
    {
      name: "get_load",
      description:
        "Tells how full the worker is: 0 idle, 1 full. Used to select the least loaded worker. Returns a number.",
      parameters: [],
      handler: () => Promise.resolve(context.worker.load),
    },
  ];
}

function administration(context: KubernetesMethodContext): Method[] {
  const workspace: Parameter = {
    name: "workspace",
    required: true,
    schema: { type: "string", description: "The workspace.", examples: ["my-workspace"] },
  };
  return [
    {
      name: "prepare_workspace",
      description:
        "Prepares for sessions of a workspace. Nothing needs to be done; kept for older servers. Returns nothing.",
      parameters: [workspace],
      handler: (args, { caller }) => {
        checkOwner(caller, args.workspace as string, "prepare workspace");
        return Promise.resolve(null);
      },
    },
    {
      name: "close_workspace",
      description: "Ends all sessions of a workspace. Returns nothing.",
      parameters: [workspace],
      handler: async (args, { caller }) => {
        const name = args.workspace as string;
        checkOwner(caller, name, `close workspace ${name}`);
        await stopAll(
          context,
          (session) => session.facts.workspace === name && mayUse(caller, session.facts.workspace),
        );
        return null;
      },
    },
    {
      name: "shutdown",
      description:
        "Ends all sessions and the worker. Only for administrators of the worker's workspace. Returns nothing.",
      parameters: [],
      handler: async (_args, { caller }) => {
        checkOperator(context.rules, caller, "shut down the worker");
        await stopAll(context, () => true);
        context.onShutdown();
        return null;
      },
    },
  ];
}

/** Stops sessions; all are tried, then the first failure is thrown. */
async function stopAll(
  { worker }: Pick<KubernetesMethodContext, "worker">,
  which: (session: KubernetesSession) => boolean,
): Promise<void> {
  const ids = worker.sessions.filter(which).map((session) => session.id);
  const results = await Promise.allSettled(ids.map((id) => worker.stop(id)));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
