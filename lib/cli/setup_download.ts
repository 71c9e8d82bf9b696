/** Fetching a program: whole, checked, and put into its place at once, or nothing is left. */
import { createHash } from "node:crypto";
import { dirname } from "@std/path";
import { messageOf, WorkerError } from "../errors.ts";
import { redact } from "../log.ts";
import type { ProgressSink } from "../progress.ts";
import { type Reply, request } from "../staging/http.ts";

/** How long a server may be silent (milliseconds). */
const SILENCE_MS = 60_000;
const ATTEMPTS = 3;
const BACK_OFF_MS = 500;
/** No program of this kind is larger (bytes). */
const MOST_BYTES = 256 * 1024 ** 2;
/** No file with a hash is larger (bytes). */
const MOST_HASH_BYTES = 4096;

const HASH = /^[0-9a-f]{64}$/i;

/** Whether a text is a SHA-256. */
export function isSha256(text: string): boolean {
  return HASH.test(text);
}

function failed(what: string, reason: string, suggestion?: string): WorkerError {
  return new WorkerError(
    "setup_failed",
    `Cannot ${what}: ${reason}`,
    suggestion === undefined ? {} : { suggestion },
  );
}

/** The innermost reason of an error of the network. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  // Deno puts the address in front of the reason.
  const message = messageOf(cause ?? error).replace(
    /^error sending request for url \(.*?\): /s,
    "",
  );
  return message.replace(/^client error \([^)]*\): /, "");
}

async function get(url: URL, signal: AbortSignal): Promise<Reply> {
  let reply: Reply;
  try {
    reply = await request(url, {
      fetch,
      headers: { "user-agent": "hypha-conda-worker" },
      signal,
      attempts: ATTEMPTS,
      backOff: BACK_OFF_MS,
      timeout: SILENCE_MS,
    });
  } catch (error) {
    signal.throwIfAborted();
    throw failed(`fetch ${shown(url)}`, reasonOf(error));
  }
  const { status, statusText } = reply.response;
  if (status === 200) return reply;
  await reply.response.body?.cancel();
  throw failed(
    `fetch ${shown(url)}`,
    `the server answers ${status}${statusText === "" ? "" : ` ${statusText}`}`,
    status === 404 || status === 410
      ? "Check --release and --url: there is no such file for this release and platform."
      : undefined,
  );
}

/** An address without what should not be seen. */
function shown(url: URL): string {
  return redact(url.href);
}

/** Pieces of a body; throws when the server is silent for too long, and when there are too many bytes. */
async function* pieces(
  url: URL,
  reply: Reply,
  most: number,
  silence = SILENCE_MS,
): AsyncGenerator<Uint8Array> {
  let received = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(
      () => reply.abort(new Error(`the server was silent for ${silence / 1000} s`)),
      silence,
    );
  };
  watch();
  try {
    for await (const piece of reply.response.body ?? []) {
      received += piece.length;
      if (received > most) throw failed(`fetch ${shown(url)}`, "the file is far too large");
      yield piece;
      watch();
    }
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks for a file that holds a SHA-256, alone or as `sha256sum` prints it.
 *
 * @throws WorkerError `setup_failed`
 */
export async function fetchSha256(url: URL, signal: AbortSignal): Promise<string> {
  const reply = await get(url, signal);
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const piece of pieces(url, reply, MOST_HASH_BYTES)) text += decoder.decode(piece);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof WorkerError ? error : failed(`fetch ${shown(url)}`, reasonOf(error));
  }
  const [hash = ""] = text.trim().split(/\s+/);
  if (isSha256(hash)) return hash.toLowerCase();
  throw failed(
    `fetch ${shown(url)}`,
    "it holds no SHA-256",
    "Check --url, or give the hash with --sha256.",
  );
}

/** What {@linkcode fetchProgram} is told. */
export interface ProgramOptions {
  readonly url: URL;
  /** Absolute path. */
  readonly target: string;
  /** What the file must have, in small letters. */
  readonly sha256: string;
  readonly onProgress: ProgressSink;
  readonly signal: AbortSignal;
  /** How long the server may be silent (milliseconds). @default 60 s */
  readonly silence?: number;
}

/**
 * Fetches a program and puts it into its place, when it is the right one. Returns its size in bytes.
 *
 * @throws WorkerError `setup_failed`; then neither a part of the file nor a directory that was made for it is left
 */
export async function fetchProgram(options: ProgramOptions): Promise<number> {
  const { url, target, sha256, signal } = options;
  const directory = dirname(target);
  await using undo = new AsyncDisposableStack();
  let draft: string;
  try {
    await makeDirectory(directory, undo);
    draft = await Deno.makeTempFile({ dir: directory, prefix: ".micromamba-", suffix: ".draft" });
  } catch (error) {
    throw unwritable(directory, error);
  }
  undo.defer(() => Deno.remove(draft).catch(() => {}));
  const reply = await get(url, signal);
  const { size, hash } = await receive(reply, draft, options);
  if (hash !== sha256) {
    const type = reply.response.headers.get("content-type") ?? "";
    throw failed(
      `use ${shown(url)}`,
      `its SHA-256 is ${hash}, and should be ${sha256}${
        type.startsWith("text/html") ? "; the server has sent a page, not a program" : ""
      }`,
      "Try again; if that does not help, the file is another one than it should be: do not use it.",
    );
  }
  signal.throwIfAborted();
  try {
    await Deno.chmod(draft, 0o755);
    await Deno.rename(draft, target);
  } catch (error) {
    throw unwritable(directory, error);
  }
  undo.move();
  return size;
}

function unwritable(directory: string, error: unknown): WorkerError {
  const reason = messageOf(error);
  return failed(
    `write into ${directory}`,
    reason,
    /no space|quota|too large/i.test(reason)
      ? "Make room there, or choose another directory with --prefix."
      : "Choose a directory you may write to with --prefix.",
  );
}

/** Makes a directory and its parents; those it made are removed when that is undone and they are empty. */
async function makeDirectory(directory: string, undo: AsyncDisposableStack): Promise<void> {
  const missing: string[] = [];
  for (let path = directory; !await there(path); path = dirname(path)) missing.push(path);
  // What is undone last is made first.
  for (const path of missing.reverse()) {
    await Deno.mkdir(path);
    undo.defer(() => Deno.remove(path).catch(() => {}));
  }
}

async function there(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && dirname(path) !== path) return false;
    throw error;
  }
}

async function receive(
  reply: Reply,
  draft: string,
  { url, onProgress, signal, silence }: ProgramOptions,
): Promise<{ size: number; hash: string }> {
  const length = Number(reply.response.headers.get("content-length") ?? NaN);
  const hash = createHash("sha256");
  let size = 0;
  using file = await Deno.open(draft, { write: true });
  try {
    for await (const piece of pieces(url, reply, MOST_BYTES, silence)) {
      hash.update(piece);
      await writeAll(file, piece, dirname(draft));
      size += piece.length;
      onProgress({
        type: "info",
        message: "Downloading micromamba",
        ...(length > 0 ? { percent: Math.min(100, 100 * size / length) } : {}),
      });
    }
    await file.sync();
  } catch (error) {
    reply.abort(error);
    signal.throwIfAborted();
    if (error instanceof WorkerError) throw error;
    const of = length > 0 ? ` of ${length}` : "";
    throw failed(
      `fetch ${shown(url)}`,
      `the connection broke after ${size}${of} bytes: ${reasonOf(error)}`,
    );
  }
  return { size, hash: hash.digest("hex") };
}

async function writeAll(file: Deno.FsFile, piece: Uint8Array, directory: string): Promise<void> {
  try {
    for (let sent = 0; sent < piece.length;) sent += await file.write(piece.subarray(sent));
  } catch (error) {
    throw unwritable(directory, error);
  }
}
