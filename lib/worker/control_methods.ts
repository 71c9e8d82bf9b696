/** Methods that act on a running session: interrupt, cancel, restart, and the questions of editors. */
import { sessionOf } from "./common_methods.ts";
import type { Method, Parameter } from "./method.ts";
import type { MethodContext } from "./method_support.ts";
import { SESSION_ID } from "./parameters.ts";

const CODE: Parameter = {
  name: "code",
  required: true,
  schema: {
    type: "string",
    description: "The code in the editor.",
    examples: ["import math\nmath.sq"],
  },
};
const CURSOR: Parameter = {
  name: "cursor_pos",
  schema: {
    type: "integer",
    minimum: 0,
    description: "Position of the cursor in characters. Default: the end of the code.",
    examples: [19],
  },
};

/** Interrupt, cancel, restart, complete, inspect, variables. */
export function controlMethods(context: MethodContext): Method[] {
  return [
    {
      name: "interrupt",
      description:
        "Interrupts what runs in a session once, as Ctrl-C does; variables stay. Code may catch it and go on: call " +
        "again, or restart the session. Returns {interrupted}: whether something ran.",
      parameters: [SESSION_ID],
      handler: async (args, call) => ({
        interrupted: await sessionOf(context, args, call, "interrupt").interrupt(),
      }),
    },
    {
      name: "cancel",
      description:
        "Takes an execution out of its session's queue, or interrupts it when it runs. One that does not end within " +
        "five seconds is killed with its process: the session goes on afresh, without its variables. Returns " +
        "{cancelled}: whether there was one.",
      parameters: [SESSION_ID, {
        name: "execution_id",
        required: true,
        schema: {
          type: "string",
          description: "The name of the execution, as given to execute in config.execution_id.",
          examples: ["training-1"],
        },
      }],
      handler: (args, call) => {
        const session = sessionOf(context, args, call, "cancel an execution of");
        return Promise.resolve({ cancelled: session.cancel(args.execution_id as string) });
      },
    },
    {
      name: "restart",
      description:
        "Replaces a session's Python by a fresh process: same id, files and environment, no variables; the entry " +
        "script does not run again. Also for a session whose process has died. Returns nothing.",
      parameters: [SESSION_ID],
      handler: async (args, call) => {
        await sessionOf(context, args, call, "restart").restart();
        return null;
      },
    },
    {
      name: "complete",
      description:
        "Completes code at a position. Returns {matches, cursor_start, cursor_end, metadata}.",
      parameters: [SESSION_ID, CODE, CURSOR],
      handler: async (args, call) => {
        const code = args.code as string;
        const cursor = (args.cursor_pos as number | undefined) ?? code.length;
        return await sessionOf(context, args, call, "complete code in").ask("complete", {
          code,
          cursor,
        });
      },
    },
    {
      name: "inspect",
      description:
        "Tells about the object at a position: signature, type, documentation. Returns {found, data}.",
      parameters: [SESSION_ID, CODE, CURSOR, {
        name: "detail_level",
        schema: {
          type: "integer",
          enum: [0, 1],
          default: 0,
          description: "How much is told; 1 adds the source.",
        },
      }],
      handler: async (args, call) => {
        const code = args.code as string;
        const cursor = (args.cursor_pos as number | undefined) ?? code.length;
        const detail = (args.detail_level as number | undefined) ?? 0;
        const session = sessionOf(context, args, call, "inspect code in");
        return await session.ask("inspect", { code, cursor, detail });
      },
    },
    {
      name: "list_variables",
      description:
        "Lists a session's variables. Returns a list of {name, type, value, …} with a short value, and length or shape.",
      parameters: [SESSION_ID],
      handler: async (args, call) =>
        await sessionOf(context, args, call, "list the variables of").ask("variables", {}),
    },
  ];
}
