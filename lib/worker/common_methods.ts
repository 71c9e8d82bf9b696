/** Methods that workers of every kind have, which differ in what they say of themselves at most. */
import { hasCode } from "../errors.ts";
import { type AccessRules, checkOperator, checkOwner, mayUse } from "./access.ts";
import type { Arguments, Call, JsonSchema, Method, Parameter } from "./method.ts";
import { SESSION_ID } from "./parameters.ts";
import { LOG_TYPES, type LogType, type SessionLog } from "./session_log.ts";
import { fullSessionId } from "./start_config.ts";

/** What is common to sessions of every kind. */
interface WorkerSession {
  readonly id: string;
  readonly workspace: string;
  readonly log: SessionLog;
}

/** What these methods act on. */
export interface CommonContext<S extends WorkerSession = WorkerSession> {
  readonly worker: {
    /** Those that have not ended. */
    readonly sessions: readonly S[];
    /** How full the worker is: 0 idle, 1 full. */
    readonly load: number;
    /** A session, also one that has ended. Throws `session_not_found`. */
    anySession(id: string): S;
    /** Ends a session. Throws `session_not_found`. */
    stop(id: string): Promise<void>;
  };
  readonly rules: AccessRules;
  /** Called by `shutdown` when all sessions have ended. */
  readonly onShutdown: () => void;
}

/**
 * The session a call names. Ids belong to workspaces: one without a workspace means a session of the caller's own, so
 * that tenants who choose the same id do not meet. Throws `session_not_found` or `permission_denied`.
 */
export function sessionOf<S extends WorkerSession>(
  { worker }: Pick<CommonContext<S>, "worker">,
  args: Arguments,
  { caller }: Call,
  action: string,
): S {
  const id = fullSessionId(args.session_id as string, caller.workspace);
  const session = worker.anySession(id);
  checkOwner(caller, session.workspace, `${action} session ${id}`);
  return session;
}

/** `compile`, with examples of an app of the worker's kind. */
export function compileMethod(
  example: {
    readonly manifest: Record<string, unknown>;
    readonly file: Record<string, unknown>;
    /** What `config` is good for. */
    readonly config: string;
  },
  compile: (manifest: Record<string, unknown>, args: Arguments, call: Call) => unknown,
): Method {
  const object = (description: string): JsonSchema => ({
    type: "object",
    description,
    additionalProperties: true,
  });
  return {
    name: "compile",
    description:
      "Checks an app's manifest and fills in its defaults before the app is installed. Returns [manifest, files].",
    parameters: [
      {
        name: "manifest",
        required: true,
        schema: { ...object("The app's manifest."), examples: [example.manifest] },
      },
      {
        name: "files",
        schema: {
          type: "array",
          description: "The app's files; returned as they are.",
          items: { description: "Path, content and format of a file." },
          examples: [[example.file]],
        },
      },
      {
        name: "config",
        schema: { ...object(example.config), examples: [{ workspace: "my-workspace" }] },
      },
    ],
    handler: async (args, call) => [
      await compile(args.manifest as Record<string, unknown>, args, call),
      args.files ?? [],
    ],
  };
}

/** `stop`. */
export function stopMethod(context: CommonContext, description: string): Method {
  return {
    name: "stop",
    description,
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

/** `get_logs`; `catchUp` is waited for before a page is given. */
export function logsMethod<S extends WorkerSession>(
  context: CommonContext<S>,
  description: string,
  catchUp: (session: S) => Promise<unknown> = () => Promise.resolve(),
): Method {
  return {
    name: "get_logs",
    description,
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
      await catchUp(session);
      return session.log.page(
        args.type as LogType | undefined,
        (args.offset as number | undefined) ?? 0,
        args.limit as number | undefined,
      );
    },
  };
}

/** `list_sessions`. */
export function listSessionsMethod<S extends WorkerSession>(
  context: CommonContext<S>,
  description: string,
  describe: (session: S) => unknown,
): Method {
  return {
    name: "list_sessions",
    description,
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
      const sessions = context.worker.sessions.filter((one) => one.workspace === workspace);
      return Promise.all(sessions.map(describe));
    },
  };
}

/** `get_load`. */
export function loadMethod(context: CommonContext): Method {
  return {
    name: "get_load",
    description:
      "Tells how full the worker is: 0 idle, 1 full. Used to select the least loaded worker. Returns a number.",
    parameters: [],
    handler: () => Promise.resolve(context.worker.load),
  };
}

/** `prepare_workspace`, `close_workspace` and `shutdown`. */
export function administrationMethods(context: CommonContext): Method[] {
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
        await stopAll(context, (one) => one.workspace === name && mayUse(caller, one.workspace));
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
  { worker }: Pick<CommonContext, "worker">,
  which: (session: WorkerSession) => boolean,
): Promise<void> {
  const ids = worker.sessions.filter(which).map((session) => session.id);
  const results = await Promise.allSettled(ids.map((id) => worker.stop(id)));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
