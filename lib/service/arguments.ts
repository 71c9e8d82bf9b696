/**
 * Puts the arguments of a call into the slots of the method's parameters.
 *
 * Why it exists: npm hypha-rpc (0.21.36 to 0.21.40) drops every positional argument of a call that also has keyword
 * arguments, and Hypha's app controller always mixes them. The RPC object runs its handlers in reverse order of
 * registration, so a handler that is added after connecting sees a message before the client's own one, and may
 * rewrite it: afterwards the call has one positional argument per parameter and no keywords.
 *
 * Contract:
 * - the list has exactly one slot per parameter, in the order of the method table, never the context;
 * - `null`, `undefined` and absent are the same: `undefined`;
 * - a keyword `context` is dropped (the controller sends one; the server stamps the true one);
 * - what cannot be put into a slot becomes an {@linkcode ArgumentProblem} in the first slot, because an exception in
 *   a handler reaches no caller: the method's wrapper throws it.
 *
 * When the client is fixed, only the call of {@linkcode installNormalizer} goes: the registered functions tell their
 * parameters' names by themselves.
 */
import { WorkerError } from "../errors.ts";
import type { Method } from "../worker/method.ts";
import type { HyphaRpc, MethodMessage } from "./hypha_rpc.ts";

/** A fault of a call's arguments, on its way to the method's wrapper. No caller can forge one: it is a class. */
export class ArgumentProblem {
  /** Name of the argument, or empty when it has none. */
  readonly argument: string;
  /** What is wrong, as the part after "Cannot call <method>: ". */
  readonly reason: string;

  /** Describes a fault. */
  constructor(argument: string, reason: string) {
    this.argument = argument;
    this.reason = reason;
  }

  /** The error the caller gets. */
  toError(method: Method): WorkerError {
    const parameters = method.parameters.map((parameter) => parameter.name).join(", ");
    return new WorkerError("invalid_argument", `Cannot call ${method.name}: ${this.reason}`, {
      context: { method: method.name, argument: this.argument },
      suggestion: parameters === ""
        ? `${method.name} takes no arguments.`
        : `${method.name} takes: ${parameters}.`,
    });
  }
}

function isMissing(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function isKeywords(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function place(method: Method, rawArgs: unknown[], withKwargs: boolean): unknown[] {
  const positional = [...rawArgs];
  let keywords: Record<string, unknown> = {};
  const last = positional.at(-1);
  if (withKwargs && isKeywords(last)) {
    positional.pop();
    keywords = last;
  }
  const { parameters } = method;
  const slots: unknown[] = new Array(parameters.length).fill(undefined);
  for (const [index, value] of positional.entries()) {
    if (isMissing(value)) continue;
    if (index >= parameters.length) {
      const most = parameters.length === 0 ? "no arguments" : `at most ${parameters.length}`;
      const reason = `it takes ${most}, but ${positional.length} were given by position`;
      return [new ArgumentProblem("", reason)];
    }
    slots[index] = value;
  }
  for (const [name, value] of Object.entries(keywords)) {
    if (name === "context") continue;
    const index = parameters.findIndex((parameter) => parameter.name === name);
    if (index < 0) {
      return [new ArgumentProblem(name, `there is no argument ${JSON.stringify(name)}`)];
    }
    if (isMissing(value)) continue;
    if (slots[index] !== undefined) {
      return [
        new ArgumentProblem(name, `argument "${name}" was given both by position and by name`),
      ];
    }
    slots[index] = value;
  }
  const missing = parameters.find((parameter, index) =>
    parameter.required === true && slots[index] === undefined
  );
  if (missing !== undefined) {
    return [new ArgumentProblem(missing.name, `argument "${missing.name}" is missing`)];
  }
  return slots;
}

/**
 * The arguments of a call in slot order, see the contract above. Pure: the list that came in stays as it is.
 *
 * @param rawArgs Arguments as sent; with keywords the last one holds them.
 * @param withKwargs Whether the last argument holds keyword arguments.
 */
export function normalizeCall(method: Method, rawArgs: unknown[], withKwargs: boolean): unknown[] {
  const slots = place(method, rawArgs, withKwargs);
  // A problem leaves the other slots empty, so that the list keeps its length.
  while (slots.length < method.parameters.length) slots.push(undefined);
  return slots;
}

/**
 * Normalises every call of a service's methods from now on. Must run before the service is registered, so that no
 * call is missed. Encrypted calls pass untouched.
 *
 * @returns Removes it again.
 */
export function installNormalizer(
  rpc: HyphaRpc,
  serviceId: string,
  methods: readonly Method[],
): Disposable {
  const prefix = `services.${serviceId}.`;
  const byPath = new Map(methods.map((method) => [prefix + method.name, method]));
  const handler = (message: MethodMessage) => {
    const method = typeof message?.method === "string" ? byPath.get(message.method) : undefined;
    if (method === undefined || message._enc !== undefined) return;
    const args = Array.isArray(message.args) ? message.args : [];
    message.args = normalizeCall(method, args, Boolean(message.with_kwargs));
    delete message.with_kwargs;
  };
  rpc.on("method", handler);
  return { [Symbol.dispose]: () => rpc.off("method", handler) };
}
