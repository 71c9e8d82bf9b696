/** Talking to the worker. The cookie goes along by itself; the key is what only this page has. */

const KEY = "hypha-dashboard-key";

/** The worker does not know this browser, or has forgotten it. */
export class LoginNeeded extends Error {}

/** An answer that says no, in words for people. */
export class Refused extends Error {
  constructor(status, { error, suggestion } = {}) {
    super([error ?? `The worker answered ${status}`, suggestion].filter(Boolean).join(". "));
    this.status = status;
  }
}

/** Whether this browser has logged in before. */
export function hasKey() {
  return localStorage.getItem(KEY) !== null;
}

async function send(path, options = {}) {
  const headers = { "x-dashboard-key": localStorage.getItem(KEY) ?? "", ...options.headers };
  const response = await fetch(path, {
    cache: "no-store",
    signal: AbortSignal.timeout(15_000),
    ...options,
    headers,
  });
  if (response.ok || response.status === 304) return response;
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401 && path !== "/api/login") throw new LoginNeeded();
  throw new Refused(response.status, answer);
}

async function post(path, body) {
  const response = await send(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return await response.json();
}

/** Exchanges the token for a login. */
export async function login(token) {
  const { key } = await post("/api/login", { token });
  localStorage.setItem(KEY, key);
}

/** Ends the login. */
export async function logout() {
  await post("/api/logout", {}).catch(() => {});
  localStorage.removeItem(KEY);
}

/** Stop, interrupt, remove. */
export async function act(action, subject) {
  return await post(`/api/${action}`, subject);
}

let tag = "";
let last;

/** The state, and the worker's clock; the same object while nothing has changed. */
export async function state() {
  const response = await send(
    "/api/state",
    tag === "" ? {} : { headers: { "if-none-match": tag } },
  );
  if (response.status !== 304) {
    last = await response.json();
    tag = response.headers.get("etag") ?? "";
  }
  return { state: last, now: Date.parse(response.headers.get("date")) };
}

/** Details of a session; `undefined` when it has ended. */
export async function session(id) {
  try {
    return await (await send(`/api/session?id=${encodeURIComponent(id)}`)).json();
  } catch (error) {
    if (error.status === 404) return undefined;
    throw error;
  }
}

/** Log lines from a number on. */
export async function log(from) {
  return await (await send(`/api/log?from=${from}`)).json();
}
