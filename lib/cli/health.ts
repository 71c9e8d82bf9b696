/** `health`: asks the worker on this machine how it is, for health checks of containers and for scripts. */
import { get } from "node:http";
import { messageOf } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { portOption } from "./numbers.ts";
import { readOptions, usage } from "./option.ts";
import { HEALTH_OPTIONS } from "./options.ts";

/** How long the worker may take to answer when nothing else is said (seconds). */
const TIMEOUT_SECONDS = 5;

/**
 * Runs the command. Returns the exit code: 0 when the worker is healthy (with `--ready`: when calls can arrive),
 * 1 when it is not or does not answer.
 *
 * @throws WorkerError `usage` for wrong options, and when nothing says which port to ask
 */
export async function health(args: readonly string[], context: CommandContext): Promise<number> {
  const { values, rest, passed } = readOptions(HEALTH_OPTIONS, args, context.environment);
  const [unexpected] = [...rest, ...passed];
  if (unexpected !== undefined) throw usage(`Unexpected argument ${unexpected}`);
  const text = (name: string) => values[name] as string | undefined;
  const path = values.ready === true ? "/ready" : "/health";
  const address = statusAddress(text("metrics-port"), text("metrics-host"), path);
  const timeout = Number(text("timeout") ?? TIMEOUT_SECONDS);
  if (!(timeout > 0 && timeout <= 3600)) {
    throw usage(`--timeout must be seconds, received ${text("timeout")}`);
  }
  try {
    const answer = await ask(address, timeout * 1000);
    const { status, reason } = JSON.parse(answer.text) as { status?: unknown; reason?: unknown };
    if (answer.code === 200 && status === "ok") {
      context.print("ok");
      return 0;
    }
    const why = typeof reason === "string" ? reason : `${address} answers ${answer.code}`;
    context.write("stderr", `Not ${path.slice(1)}: ${why}\n`);
  } catch (error) {
    const why = error instanceof DOMException && error.name === "TimeoutError"
      ? `no answer within ${timeout} s`
      : messageOf(error);
    context.write("stderr", `Cannot ask the worker at ${address}: ${why}\n`);
  }
  return 1;
}

/** Longest answer that is read (letters); the worker's own are much shorter. */
const MAX_ANSWER = 10_000;

/**
 * Asks, without the proxy that `fetch` would take from the variables: this is about the machine itself.
 *
 * @throws the reason when there is no answer, `TimeoutError` when there is none in time (milliseconds)
 */
async function ask(address: string, timeout: number): Promise<{ code: number; text: string }> {
  const signal = AbortSignal.timeout(timeout);
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number; text: string }>();
  const request = get(address, { agent: false, signal }, (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (part: string) => {
      if ((text += part).length > MAX_ANSWER) response.destroy(new Error("the answer is too long"));
    });
    response.on("end", () => resolve({ code: response.statusCode ?? 0, text }));
    response.on("error", reject);
  });
  request.on("error", reject);
  try {
    return await promise;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    request.destroy();
  }
}

/** The address to ask: a worker that listens on all addresses is asked on this machine's own. */
function statusAddress(port: string | undefined, host: string | undefined, path: string): string {
  if (port === undefined) {
    throw usage("--metrics-port is required (or set HYPHA_METRICS_PORT), as the worker has it");
  }
  if (portOption("metrics-port", port) === 0) {
    throw usage(`--metrics-port must be the number of the worker's port, received ${port}`);
  }
  const own: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]" };
  const given = host ?? "127.0.0.1";
  const name = own[given] ?? (given.includes(":") && !given.startsWith("[") ? `[${given}]` : given);
  const address = `http://${name}:${port}${path}`;
  if (!URL.canParse(address)) {
    throw usage(`--metrics-host must be an address, received ${given}`);
  }
  return address;
}
