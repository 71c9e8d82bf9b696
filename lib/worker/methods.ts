/**
 * The method table: everything clients can call, with its parameters and meaning. Registration, schemas, argument
 * handling and documents come from it. Result shapes are the reference worker's; additional keys are ours.
 */
import { WorkerError } from "../errors.ts";
import {
  administrationMethods,
  compileMethod,
  listSessionsMethod,
  loadMethod,
  logsMethod,
  sessionOf,
  stopMethod,
} from "./common_methods.ts";
import { compileManifest } from "./compile.ts";
import { controlMethods } from "./control_methods.ts";
import { environmentOf } from "./environment.ts";
import { environmentMethods } from "./environment_methods.ts";
import { fileMethods } from "./file_methods.ts";
import type { Ask, Method, Notify } from "./method.ts";
import type { MethodContext } from "./method_support.ts";
import { PROGRESS, progressOf, SESSION_ID } from "./parameters.ts";
import { codeResult, executionResult, sessionDetails, sessionInfo } from "./results.ts";
import { prepareStart } from "./start_method.ts";
import { object, START_CONFIG } from "./start_schema.ts";

/** Default time of an execution, as in the reference worker (seconds). */
const EXECUTE_TIMEOUT = 30;

/** The methods of a worker. */
export function workerMethods(context: MethodContext): Method[] {
  return [
    compile(context),
    start(context),
    execute(context),
    executeCode(context),
    stopMethod(
      context,
      "Ends a session and everything it started. A session that has ended is no error. Returns nothing.",
    ),
    logsMethod(
      context,
      "Reads a session's log, also while it starts and after it has ended. Returns {items, total, offset, limit}. " +
        "What a task put out after the end of its cell has that cell's execution_count.",
    ),
    ...controlMethods(context),
    ...fileMethods(context),
    listSessionsMethod(
      context,
      "Lists the sessions of a workspace that have not ended. Returns a list of {session_id, status, app_id, …}.",
      sessionInfo,
    ),
    sessionInfoMethod(context),
    loadMethod(context),
    ...environmentMethods(context),
    ...administrationMethods(context),
  ];
}

function compile(context: MethodContext): Method {
  return compileMethod({
    manifest: { type: "conda-jupyter-kernel", dependencies: ["python=3.11", "numpy"] },
    file: { path: "main.py", content: "print('hello')", format: "text" },
    config: "Facts about the server; not needed here.",
  }, (manifest) => compileManifest(manifest, context.policy));
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

function sessionInfoMethod(context: MethodContext): Method {
  return {
    name: "get_session_info",
    description:
      "Describes a session, also one that has ended. Returns status, app, environment, times; usage, limits and isolation; " +
      "death {code, signal, reason, stderr} when its process has died; resources {cpus, cpu_affinity, cpu_quota, " +
      "memory_limit, memory_total, process_limit, gpu: {visible, devices}} it may use, sizes in bytes, null when " +
      "unlimited or unknown.",
    parameters: [SESSION_ID],
    handler: (args, call) => sessionDetails(sessionOf(context, args, call, "inspect")),
  };
}
