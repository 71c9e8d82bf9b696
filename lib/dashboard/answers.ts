/** Answers of the dashboard: what all of them have in common, and the files of the page. */
import { messageOf, WorkerError } from "../errors.ts";
import dom from "./page/dom.js" with { type: "text" };
import figures from "./page/figures.css" with { type: "text" };
import format from "./page/format.js" with { type: "text" };
import icon from "./page/icon.svg" with { type: "text" };
import index from "./page/index.html" with { type: "text" };
import lists from "./page/lists.css" with { type: "text" };
import main from "./page/main.js" with { type: "text" };
import phones from "./page/phones.css" with { type: "text" };
import style from "./page/style.css" with { type: "text" };
import talk from "./page/talk.js" with { type: "text" };
import views from "./page/views.js" with { type: "text" };

const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";

/** The files by their path: type and content. */
const PAGE: Readonly<Record<string, readonly [type: string, text: string]>> = {
  "/": ["text/html; charset=utf-8", index],
  "/style.css": [STYLE, style],
  "/figures.css": [STYLE, figures],
  "/lists.css": [STYLE, lists],
  "/phones.css": [STYLE, phones],
  "/icon.svg": ["image/svg+xml", icon],
  "/main.js": [SCRIPT, main],
  "/views.js": [SCRIPT, views],
  "/dom.js": [SCRIPT, dom],
  "/format.js": [SCRIPT, format],
  "/talk.js": [SCRIPT, talk],
};

/** What browsers are told with every answer. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; " +
    "trusted-types 'none'",
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

/** Status of the answer to an error; other errors are the caller's. */
const STATUS: Readonly<Record<string, number>> = {
  session_not_found: 404,
  environment_not_found: 404,
  environment_in_use: 409,
  worker_stopping: 503,
};

/** An answer. */
export function answer(
  body: string | null,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(body, { status, headers: { ...HEADERS, ...headers } });
}

/** An answer for programs. */
export function json(
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const body = typeof value === "string" ? value : JSON.stringify(value);
  return answer(body, status, { "content-type": "application/json; charset=utf-8", ...headers });
}

/** A refusal, in words for people. */
export function refusal(
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return json({ error: message }, status, headers);
}

/** The answer to something that went wrong. */
export function failure(error: unknown): Response {
  if (!(error instanceof WorkerError)) return refusal(500, "internal");
  const body = { error: messageOf(error), code: error.code, suggestion: error.suggestion };
  return json(body, STATUS[error.code] ?? 400);
}

/** A file of the page; `undefined` when there is none of that name. */
export function pageFile(path: string): Response | undefined {
  const file = Object.hasOwn(PAGE, path) ? PAGE[path] : undefined;
  return file && answer(file[1], 200, { "content-type": file[0] });
}
