/**
 * The dashboard: a page for the operator, and the JSON it is made from.
 *
 * The page asks again and again instead of being sent events: whoever does not ask costs nothing, browsers allow only
 * six lasting connections to a host, and a reader that is slow has no queue that could grow.
 *
 * The page itself has nothing to hide, so everybody may have it; everything below `/api/` takes the token or a login.
 */
import { settledWithin } from "../delay.ts";
import { messageOf, WorkerError } from "../errors.ts";
import { listen } from "../listen.ts";
import { addSecret, type Logger } from "../log.ts";
import { Admission } from "./admission.ts";
import { answer, failure, json, pageFile, refusal } from "./answers.ts";
import type { DashboardActions, DashboardSources } from "./sources.ts";
import { DashboardState } from "./state.ts";

/** What {@linkcode startDashboard} needs. */
export interface DashboardOptions {
  /** Port; 0 takes a free one. */
  readonly port: number;
  /** Address to listen on. @default "127.0.0.1" */
  readonly hostname?: string;
  /** What opens it. */
  readonly token: string;
  /** Names of this machine besides `localhost` and what it listens on. @default none */
  readonly hosts?: readonly string[];
  readonly sources: DashboardSources;
  readonly actions: DashboardActions;
  readonly log: Logger;
}

/** A dashboard that can be looked at. */
export interface Dashboard extends AsyncDisposable {
  /** Address without the token. */
  readonly url: string;
  readonly port: number;
}

/** Requests with a right to an answer that are answered at once, those included whose answers are not read. */
const MAX_REQUESTS = 64;
/** Logins that are looked at at once. */
const MAX_LOGINS = 16;
/** Longest body of a request (bytes). */
const MAX_BODY = 4096;
/** Time a body may take to arrive (milliseconds). */
const BODY_MS = 5000;
/** Log lines in one answer. */
const MAX_LINES = 500;
/** Time an action is waited for (milliseconds); it goes on. */
const ACTION_MS = 3000;

/**
 * Starts to answer.
 *
 * @throws WorkerError `usage` when it cannot listen there
 */
export function startDashboard(options: DashboardOptions): Dashboard {
  const { hostname = "127.0.0.1", log } = options;
  addSecret(options.token);
  const handler = new Handler({ ...options, hosts: [hostname, ...options.hosts ?? []] });
  const server = listen({
    port: options.port,
    hostname,
    option: "--dashboard-port",
    failure: () => refusal(500, "internal"),
    log,
    handler: (request, info) => handler.handle(request, info.completed),
  });
  const { port } = server;
  const url = `http://${urlHost(hostname)}:${port}/`;
  log.info("Dashboard listens", { address: url });
  return {
    url,
    port,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await handler.settled();
    },
  };
}

/** Host to look at from this machine. */
function urlHost(hostname: string): string {
  if (hostname === "0.0.0.0" || hostname === "::") return "127.0.0.1";
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

/** Answers requests. */
class Handler {
  readonly #options: DashboardOptions;
  readonly #admission: Admission;
  readonly #state: DashboardState;
  /** Differs between dashboards: browsers keep the cookies of all ports of a host together. */
  readonly #cookieName = `hypha_dashboard_${crypto.randomUUID().slice(0, 8)}`;
  readonly #cookie = new RegExp(`(?:^|;\\s*)${this.#cookieName}=([\\w-]+)`);
  readonly #actions = new Set<Promise<unknown>>();
  #requests = 0;
  #logins = 0;

  constructor(options: DashboardOptions) {
    this.#options = options;
    this.#admission = new Admission(options);
    this.#state = new DashboardState(options.sources, options.log);
  }

  /** Waits for actions that go on. */
  async settled(): Promise<void> {
    await Promise.all(this.#actions);
  }

  /** @param completed settles when the answer has been sent */
  async handle(request: Request, completed: Promise<void>): Promise<Response> {
    const host = request.headers.get("host");
    if (!this.#admission.isHost(host) || !URL.canParse(request.url)) {
      return refusal(
        421,
        "This dashboard is reached by an address or by localhost, not by this name; behind a proxy, let it set " +
          "the Host header, or name it with --dashboard-host",
      );
    }
    const { pathname, searchParams } = new URL(request.url);
    const reading = request.method === "GET" || request.method === "HEAD";
    if (!reading && request.method !== "POST") {
      return refusal(405, "GET and POST are answered", { allow: "GET, HEAD, POST" });
    }
    if (!pathname.startsWith("/api/")) {
      if (!reading) return refusal(405, "Only GET is answered here", { allow: "GET, HEAD" });
      return pageFile(pathname) ?? refusal(404, "There is no such page");
    }
    try {
      if (pathname === "/api/login" && !reading) return await this.#login(request);
      const who = this.#admission.admit(request.headers, this.#loginOf(request));
      if (who === undefined) return denied();
      if (this.#requests >= MAX_REQUESTS) return busy();
      this.#requests++;
      const done = () => this.#requests--;
      completed.then(done, done);
      if (reading) return await this.#read(request, pathname, searchParams);
      if (who === "browser" && !this.#admission.isSameOrigin(request.headers)) return elsewhere();
      return await this.#act(request, pathname);
    } catch (error) {
      if (!(error instanceof WorkerError)) {
        this.#options.log.error("Cannot answer a request for the dashboard", {
          reason: messageOf(error),
        });
      }
      return failure(error);
    }
  }

  #loginOf(request: Request): string | undefined {
    return this.#cookie.exec(request.headers.get("cookie") ?? "")?.[1];
  }

  async #read(request: Request, path: string, query: URLSearchParams): Promise<Response> {
    switch (path) {
      case "/api/state": {
        const { body, tag } = await this.#state.answer();
        return request.headers.get("if-none-match") === tag
          ? answer(null, 304, { etag: tag })
          : json(body, 200, { etag: tag });
      }
      case "/api/session":
        return json(await this.#state.session(query.get("id") ?? ""));
      case "/api/log": {
        const from = Number(query.get("from") ?? 0);
        if (!Number.isSafeInteger(from) || from < 0) return refusal(400, "from must be a number");
        return json(this.#options.sources.log.from(from, MAX_LINES));
      }
      default:
        return unknown(path);
    }
  }

  async #act(request: Request, path: string): Promise<Response> {
    const body = await readBody(request);
    if (body === undefined) return unreadable();
    if (path === "/api/logout") {
      const cookie = this.#loginOf(request);
      if (cookie !== undefined) this.#admission.logout(cookie);
      return json({}, 200, { "set-cookie": this.#cookieHeader("", "; Max-Age=0") });
    }
    const { actions } = this.#options;
    const named = (name: string): string => {
      const value = body[name];
      if (typeof value === "string") return value;
      throw new WorkerError("invalid_argument", `Cannot do that: ${name} must be a text`);
    };
    switch (path) {
      case "/api/stop":
        return await this.#do("stop", named("session"), (id) => actions.stop(id));
      case "/api/interrupt":
        return await this.#do("interrupt", named("session"), (id) => actions.interrupt(id));
      case "/api/remove":
        return await this.#do("remove", named("environment"), (key) => actions.remove(key));
      default:
        return unknown(path);
    }
  }

  /** Exchanges the token, which is not in the address, for a cookie and a key. */
  async #login(request: Request): Promise<Response> {
    if (!this.#admission.isSameOrigin(request.headers)) return elsewhere();
    if (this.#logins >= MAX_LOGINS) return busy();
    this.#logins++;
    const body = await readBody(request).finally(() => this.#logins--);
    if (body === undefined) return unreadable();
    const login = typeof body.token === "string" ? this.#admission.login(body.token) : undefined;
    if (login === undefined) {
      this.#options.log.warning("A login to the dashboard was refused");
      return refusal(401, "This is not the token of this dashboard");
    }
    this.#options.log.info("Login to the dashboard");
    return json({ key: login.key }, 200, { "set-cookie": this.#cookieHeader(login.cookie) });
  }

  #cookieHeader(value: string, more = ""): string {
    return `${this.#cookieName}=${value}; HttpOnly; SameSite=Strict; Path=/api/${more}`;
  }

  /** Does something that may take long; then the answer is that it was begun. */
  async #do(
    action: string,
    subject: string,
    work: (subject: string) => Promise<unknown>,
  ): Promise<Response> {
    const { log } = this.#options;
    log.info("Dashboard action", { action, subject: subject.slice(0, 256) });
    const outcome = work(subject).then(
      (result) => ({ result: result ?? null }),
      (error) => ({ error }),
    );
    this.#actions.add(outcome);
    outcome.finally(() => this.#actions.delete(outcome));
    const ended = await settledWithin<{ result?: unknown; error?: unknown }>(outcome, ACTION_MS);
    this.#state.expire();
    if (ended === undefined) {
      outcome.then((late) => {
        if (!("error" in late)) return;
        log.warning("Dashboard action failed", { action, reason: messageOf(late.error) });
      });
      return json({ done: false }, 202);
    }
    if ("error" in ended) throw ended.error;
    return json({ done: true, result: ended.result });
  }
}

function denied(): Response {
  return refusal(401, "Log in, or send the token as Authorization: Bearer", {
    "www-authenticate": "Bearer",
  });
}

function unknown(path: string): Response {
  return refusal(404, `There is no ${path.slice(0, 100)}`);
}

function busy(): Response {
  return refusal(503, "There are too many requests at once", { "retry-after": "1" });
}

function elsewhere(): Response {
  return refusal(403, "This request comes from another page");
}

function unreadable(): Response {
  return refusal(400, "The body must be a JSON object, sent as application/json");
}

/** The body of a request; `undefined` when it is not JSON, too long, or does not come. */
async function readBody(request: Request): Promise<Record<string, unknown> | undefined> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json(?:;|$)/i.test(type) || request.body === null) return undefined;
  const reader = request.body.getReader();
  const bytes = await settledWithin(readSome(reader), BODY_MS).catch(() => undefined);
  if (bytes === undefined) {
    await reader.cancel().catch(() => {});
    return undefined;
  }
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

/** All of a stream; `undefined` when it is too long. */
async function readSome(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(MAX_BODY);
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes.subarray(0, length);
    if (length + value.length > MAX_BODY) return undefined;
    bytes.set(value, length);
    length += value.length;
  }
}
