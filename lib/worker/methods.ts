/**
 * The method table: everything clients can call, with its parameters and meaning. Registration, schemas, argument
 * handling and documents come from it. Result shapes are the reference worker's; additional keys are ours.
 */
import { hasCode, WorkerError } from "../errors.ts";
import { checkOperator, checkOwner, mayUse } from "./access.ts";
import { controlMethods } from "./control_methods.ts";
import { compileManifest } from "./compile.ts";
import { LOG_TYPES, type LogType } from "./session_log.ts";
import type { Ask, Method, Notify, Parameter } from "./method.ts";
import { codeResult, executionResult, sessionDetails, sessionInfo } from "./results.ts";
import { prepareStart } from "./start_method.ts";
import { object, START_CONFIG } from "./start_schema.ts";
import { environmentOf } from "./environment.ts";
import { environmentMethods } from "./environment_methods.ts";
import { fileMethods } from "./file_methods.ts";
import {
  type MethodContext,
  PROGRESS,
  progressOf,
  SESSION_ID,
  sessionOf,
} from "./method_support.ts";

/** Default time of an execution, as in the reference worker (seconds). */
const EXECUTE_TIMEOUT = 30;

/** The methods of a worker. */
export function workerMethods(context: MethodContext): Method[] {
  return [
    compile(context),
    start(context),
    execute(context),
    executeCode(context),
    stop(context),
    getLogs(context),
    ...controlMethods(context),
    ...fileMethods(context),
    ...inspection(context),
    ...environmentMethods(context),
    ...administration(context),
  ];
}

function compile(context: MethodContext): Method {
  return {
    name: "compile",
    description:
      "Checks an app's manifest and fills in its defaults before the app is installed. Returns [manifest, files].",
    parameters: [
      {
        name: "manifest",
        required: true,
        schema: {
          ...object("The app's manifest."),
          examples: [{ type: "conda-jupyter-kernel", dependencies: ["python=3.11", "numpy"] }],
        },
      },
      {
        name: "files",
        schema: {
          type: "array",
          description: "The app's files; returned as they are.",
          items: { description: "Path, content and format of a file." },
          examples: [[{ path: "main.py", content: "print('hello')", format: "text" }]],
        },
      },
      {
        name: "config",
        schema: {
          ...object("Facts about the server; not needed here."),
          examples: [{ workspace: "my-workspace" }],
        },
      },
    ],
    handler: (args) =>
      Promise.resolve([
        compileManifest(args.manifest as Record<string, unknown>, context.policy),
        args.files ?? [],
      ]),
  };
}

function start(context: MethodContext): Method {
  return {
    name: "start",
    description:
      "Starts a Python session in a conda environment made from the manifest's dependencies, stages the app's " +
      "files, runs its entry script, and returns the session's id.",
    parameters: [
      {
        name: "config",
        required: true,
        schema: START_CONFIG,
      },
      PROGRESS,
    ],
    handler: async (args, call) => {
      const { progress_callback: nested, ...config } = args.config as Record<string, unknown>;
      const request = prepareStart(config, call.caller, context);
      const session = await context.worker.start(request, {
        // The controller puts the user's callback into the config.
        onProgress: typeof nested === "function" ? nested as Notify : progressOf(args),
        signal: call.signal,
      });
      // The id the caller chose, which it will use; the session's own has the workspace in front.
      return typeof config.id === "string" ? config.id : session.id;
    },
  };
}

function timeoutOf(config: Record<string, unknown> | undefined): number | undefined {
  const value = config?.timeout === undefined ? EXECUTE_TIMEOUT : config.timeout;
  if (value === null || value === 0) return undefined;
  if (typeof value !== "number" || !(value > 0)) {
    throw new WorkerError(
      "invalid_argument",
      `Cannot execute: config.timeout must be a number of seconds, received ${
        JSON.stringify(value)
      }`,
      { context: { argument: "config.timeout" } },
    );
  }
  // setTimeout takes 31 bits of milliseconds.
  return Math.min(value * 1000, 2 ** 31 - 1);
}

function execute(context: MethodContext): Method {
  return {
    name: "execute",
    description:
      "Runs Python code in a session as a notebook cell: variables stay, the last expression is the result. " +
      "Returns {status, outputs, error}; errors of the code are results, not failures of the call.",
    parameters: [
      SESSION_ID,
      {
        name: "script",
        required: true,
        schema: {
          type: "string",
          description: "The code.",
          examples: ["import math\nmath.sqrt(16)"],
        },
      },
      {
        name: "config",
        schema: object("How it is run.", {
          timeout: {
            type: "number",
            description: "Seconds until the code is interrupted; 0 for no limit.",
            default: EXECUTE_TIMEOUT,
          },
          env: {
            type: "object",
            description: "Environment variables for this execution only; null removes one.",
            additionalProperties: true,
            examples: [{ OMP_NUM_THREADS: "1" }],
          },
          silent: {
            type: "boolean",
            description: "No result, no trace in the history.",
            default: false,
          },
          store_history: {
            type: "boolean",
            description: "Count and remember the cell.",
            default: true,
          },
          execution_id: {
            type: "string",
            description: "Name for cancel. Default: generated.",
            examples: ["training-1"],
          },
        }),
      },
      PROGRESS,
      {
        name: "output_callback",
        callback: true,
        schema: {
          description:
            "A function that is called with each output while the code runs, in order. One that is slow slows the " +
            "code down; one that does not answer for 5 seconds misses output. Leave it out where functions cannot be " +
            "passed: the result has all outputs.",
        },
      },
      {
        name: "input_callback",
        callback: true,
        answers: true,
        schema: {
          description:
            "A function that is called with {prompt, password} when the code asks for input, and returns the line. " +
            "Without it code that asks for input fails.",
        },
      },
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "execute in");
      const config = args.config as Record<string, unknown> | undefined;
      const ask = args.input_callback as Ask | undefined;
      const progress = progressOf(args);
      progress({ type: "info", message: "Executing code in Jupyter kernel..." });
      const result = await session.execute({
        code: args.script as string,
        timeout: timeoutOf(config),
        silent: config?.silent === true,
        storeHistory: config?.store_history !== false,
        env: environmentOf(config?.env, "config.env"),
        executionId: (config?.execution_id as string | null | undefined) ?? undefined,
        onInput: ask && (async (prompt, password) => String(await ask({ prompt, password }))),
        // A caller that goes away does not stop its cell: the session's state is the work of many cells.
        onOutput: args.output_callback as Notify | undefined,
      });
      progress(
        result.status === "ok"
          ? { type: "success", message: "Code executed successfully" }
          : { type: "error", message: "Code execution failed" },
      );
      return executionResult(result);
    },
  };
}

function executeCode(context: MethodContext): Method {
  return {
    name: "execute_code",
    description:
      "Runs Python code in a session; returns {success, result, error, stdout, stderr, timing}.",
    parameters: [
      SESSION_ID,
      {
        name: "code",
        required: true,
        schema: { type: "string", description: "The code.", examples: ["print(1 + 1)"] },
      },
      {
        name: "timeout",
        schema: {
          type: "number",
          description: "Seconds until the code is interrupted; 0 for no limit.",
          default: EXECUTE_TIMEOUT,
        },
      },
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "execute in");
      const timeout = timeoutOf(args.timeout === undefined ? undefined : { timeout: args.timeout });
      const code = args.code as string;
      return codeResult(await session.execute({ code, timeout }));
    },
  };
}

function stop(context: MethodContext): Method {
  return {
    name: "stop",
    description:
      "Ends a session and everything it started. A session that has ended is no error. Returns nothing.",
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

function getLogs(context: MethodContext): Method {
  return {
    name: "get_logs",
    description:
      "Reads a session's log, also while it starts and after it has ended. Returns {items, total, offset, limit}. " +
      "What a task put out after the end of its cell has that cell's execution_count.",
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
    handler: (args, call) => {
      const session = sessionOf(context, args, call, "read the log of");
      const page = session.log.page(
        args.type as LogType | undefined,
        (args.offset as number | undefined) ?? 0,
        args.limit as number | undefined,
      );
      return Promise.resolve(page);
    },
  };
}

function inspection(context: MethodContext): Method[] {
  return [
    {
      name: "list_sessions",
      description:
        "Lists the sessions of a workspace that have not ended. Returns a list of {session_id, status, app_id, …}.",
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
        return Promise.all(
          context.worker.sessions.filter((session) => session.request.workspace === workspace)
            .map(sessionInfo),
        );
      },
    },
    {
      name: "get_session_info",
      description:
        "Describes a session, also one that has ended. Returns status, app, environment, times; usage, limits and isolation; " +
        "death {code, signal, reason, stderr} when its process has died; resources {cpus, cpu_affinity, cpu_quota, " +
        "memory_limit, memory_total, process_limit, gpu: {visible, devices}} it may use, sizes in bytes, null when " +
        "unlimited or unknown.",
      parameters: [SESSION_ID],
      handler: (args, call) => sessionDetails(sessionOf(context, args, call, "inspect")),
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

function administration(context: MethodContext): Method[] {
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
        const ids = context.worker.sessions.filter((session) =>
          session.request.workspace === name && mayUse(caller, session.request.workspace)
        ).map((session) => session.id);
        await Promise.all(ids.map((id) => context.worker.stop(id)));
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
        await Promise.all(context.worker.sessions.map((one) => context.worker.stop(one.id)));
        context.onShutdown();
        return null;
      },
    },
  ];
}
