/** Checks of `doctor` that concern others: channels, the Hypha server, the token, the clock. */
import { join } from "@std/path";
import { exists } from "@std/fs";
import { localPath, parseChannel } from "../environments/channel.ts";
import { messageOf } from "../errors.ts";
import { addSecret, silentLogger } from "../log.ts";
import { connectWorker } from "../service/connection.ts";
import { type Check, failure, type Finding, ok, warning } from "./doctor_check.ts";
import { expiryOf, readClaims, type TokenClaims } from "./token_claims.ts";

const ANSWER_MS = 10_000;
const CONNECT_MS = 15_000;
/** Tokens that end sooner deserve a word (milliseconds). */
const SOON_MS = 86_400_000;
/** Clocks that differ by more are wrong (milliseconds). */
const MOST_SKEW_MS = 60_000;

/** What is asked. */
export interface Network {
  /** Names or URLs. */
  readonly channels: readonly string[];
  readonly serverUrl: string | undefined;
  readonly workspace: string | undefined;
  /** Reads the token. Throws `usage` when its file cannot be read. */
  readonly token: () => Promise<string | undefined>;
}

/** What came back from an address. */
type Answer =
  | {
    readonly status: number;
    /** How far this clock is behind the other (milliseconds), when it has told its time. */
    readonly behind: number | undefined;
  }
  | { readonly problem: string };

/** The checks, in the order of the report. */
export function networkChecks(network: Network): Check[] {
  const url = network.serverUrl?.replace(/\/+$/, "");
  const { promise: answered, resolve } = Promise.withResolvers<Answer | undefined>();
  const askServer = async (signal: AbortSignal): Promise<Finding> => {
    const answer = url === undefined ? undefined : await askHypha(url, signal);
    resolve(answer);
    return serverFinding(url, answer);
  };
  const limit = 2 * ANSWER_MS + 5000;
  return [
    { name: "channels", timeout: limit, run: (signal) => checkChannels(network.channels, signal) },
    { name: "server", timeout: limit, run: askServer },
    {
      name: "token",
      timeout: limit + CONNECT_MS,
      run: (signal) => checkToken({ ...network, serverUrl: url }, answered, signal),
    },
    { name: "clock", timeout: limit, run: async () => clockFinding(await answered) },
  ];
}

/** Asks an address. Never throws. */
async function ask(url: string, method: "GET" | "HEAD", signal: AbortSignal): Promise<Answer> {
  const patience = AbortSignal.timeout(ANSWER_MS);
  const before = Date.now();
  try {
    const response = await fetch(url, { method, signal: AbortSignal.any([signal, patience]) });
    const now = (before + Date.now()) / 2;
    await response.body?.cancel();
    const date = Date.parse(response.headers.get("date") ?? "");
    // The header has whole seconds.
    return { status: response.status, behind: isNaN(date) ? undefined : date + 500 - now };
  } catch (error) {
    if (patience.aborted) return { problem: `no answer within ${ANSWER_MS / 1000} s` };
    return { problem: fetchProblem(error) };
  }
}

/** Why a request failed: `fetch` says it in the cause of its error, behind the address. */
function fetchProblem(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return messageOf(cause).replace(/^error sending request for url \([^)]*\): /, "");
}

async function checkChannels(names: readonly string[], signal: AbortSignal): Promise<Finding> {
  const results = await Promise.all(names.map(async (name) => ({
    name,
    problem: await channelProblem(name, signal),
  })));
  const bad = results.filter((one) => one.problem !== undefined);
  if (bad.length === 0) return ok(`${names.join(", ")} can be reached`);
  return warning(
    `cannot be reached: ${bad.map(({ name, problem }) => `${name} (${problem})`).join("; ")}`,
    "Check the network, the proxy (HTTPS_PROXY) and the names; without channels only environments that are in the cache can be used.",
  );
}

const INDEX_FILES = ["repodata.json.zst", "repodata.json"];

/** Why a channel cannot be used, if so. */
async function channelProblem(name: string, signal: AbortSignal): Promise<string | undefined> {
  let channel: string;
  try {
    channel = parseChannel(name);
  } catch (error) {
    return messageOf(error);
  }
  const directory = localPath(channel);
  if (directory !== undefined) {
    for (const file of INDEX_FILES) {
      if (await exists(join(directory, "noarch", file))) return undefined;
    }
    return `there is no noarch/${INDEX_FILES[1]}`;
  }
  const url = /^https?:/.test(channel) ? channel : namedChannel(channel);
  let problem = "";
  for (const file of INDEX_FILES) {
    const answer = await ask(`${url}/noarch/${file}`, "HEAD", signal);
    if ("problem" in answer) return answer.problem;
    if (answer.status < 300) return undefined;
    problem = `HTTP ${answer.status} for noarch/${file}`;
  }
  return problem;
}

function namedChannel(name: string): string {
  return name === "defaults"
    ? "https://repo.anaconda.com/pkgs/main"
    : `https://conda.anaconda.org/${name}`;
}

async function askHypha(url: string, signal: AbortSignal): Promise<Answer> {
  if (!URL.canParse(url) || !/^https?:\/\//.test(url)) {
    return { problem: "it is no http or https address" };
  }
  return await ask(`${url}/health/readiness`, "GET", signal);
}

function serverFinding(url: string | undefined, answer: Answer | undefined): Finding {
  if (url === undefined || answer === undefined) return ok("not asked: no --server-url is given");
  if ("problem" in answer) {
    return failure(
      `${url} cannot be reached: ${answer.problem}`,
      "Check --server-url, the network, and the proxy (HTTPS_PROXY).",
    );
  }
  const { status } = answer;
  if (status < 300) return ok(`${url} is ready`);
  return status >= 500
    ? failure(
      `${url} is not ready: HTTP ${status}`,
      "Wait until it has started, or ask its operator.",
    )
    : failure(
      `${url} does not answer as a Hypha server: HTTP ${status} for /health/readiness`,
      "Give the address of a Hypha server with --server-url, without anything behind it.",
    );
}

const NEW_TOKEN =
  "Make a new token for the workspace, with the right to write, and give it by --token-file or HYPHA_TOKEN.";

async function checkToken(
  { serverUrl, workspace, token: read }: Network,
  answered: Promise<Answer | undefined>,
  signal: AbortSignal,
): Promise<Finding> {
  const token = await read();
  if (token === undefined) return ok("not tried: no --token and no --token-file is given");
  addSecret(token);
  const claims = readClaims(token);
  const said = describe(claims);
  const answer = await answered;
  if (serverUrl === undefined || answer === undefined) {
    const reason = "not tried: no --server-url is given";
    return expired(claims)
      ? failure(said, NEW_TOKEN)
      : soon(claims, said === "" ? reason : `${said}; ${reason}`);
  }
  // Nobody else gets the token.
  if (serverFinding(serverUrl, answer).status !== "ok") {
    const message = `not tried, as the server does not serve${said === "" ? "" : `; ${said}`}`;
    if (expired(claims)) return failure(message, NEW_TOKEN);
    return warning(message, "See the server's line.");
  }
  try {
    await using connection = await connectWorker({
      serverUrl,
      workspace,
      token,
      log: silentLogger,
      signal,
      connectTimeout: CONNECT_MS,
      register: async (server) => {
        // Needs the rights a worker needs, and changes nothing.
        await server.echo("doctor");
        return { id: "", settled: () => Promise.resolve() };
      },
    });
    const message = `joins workspace ${connection.workspace}`;
    return soon(claims, said === "" ? message : `${message}; ${said}`);
  } catch (error) {
    const reason = messageOf(error);
    return failure(said === "" ? reason : `${reason} (the token: ${said})`, NEW_TOKEN);
  }
}

function expired(claims: TokenClaims | undefined): boolean {
  return claims?.expires !== undefined && claims.expires <= Date.now();
}

function describe(claims: TokenClaims | undefined): string {
  if (claims === undefined) return "";
  const { workspaces, expires } = claims;
  const names = workspaces.length === 0 ? [] : [`for ${workspaces.join(", ")}`];
  const end = expires === undefined ? "without an end" : expiryOf(expires, Date.now());
  return [...names, end].join(", ");
}

/** What a token is good for that is accepted, or has not been refused yet. */
function soon(claims: TokenClaims | undefined, message: string): Finding {
  if (claims?.expires === undefined || claims.expires - Date.now() > SOON_MS) return ok(message);
  return warning(
    message,
    "Give the worker a token that lasts longer: it needs it again at each reconnection.",
  );
}

function clockFinding(answer: Answer | undefined): Finding {
  if (answer === undefined) return ok("not compared: no --server-url is given");
  if ("problem" in answer) return ok("not compared: the server cannot be reached");
  if (answer.behind === undefined) return ok("not compared: the server does not tell its time");
  const seconds = Math.round(Math.abs(answer.behind) / 1000);
  if (Math.abs(answer.behind) <= MOST_SKEW_MS) {
    return ok(seconds < 2 ? "as the server's" : `${seconds} s from the server's`);
  }
  return warning(
    `${seconds} s ${answer.behind > 0 ? "behind" : "ahead of"} the server's`,
    "Set this machine's clock (a time service such as chrony does it): tokens are valid by the clock.",
  );
}
