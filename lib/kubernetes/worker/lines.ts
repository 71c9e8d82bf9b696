/** The lines of a pod's log, each with the time Kubernetes gives it. */

/** One line. */
export interface LogLine {
  /** RFC 3339 with nanoseconds; empty where there is none. */
  readonly time: string;
  /** With its line feed, unless the container ended without one. */
  readonly text: string;
}

/** Longest line that is kept (characters); the rest of it is dropped. */
const MAX_LINE = 64 * 1024;
const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?/;

function lineOf(text: string): LogLine {
  const match = TIME.exec(text);
  return match === null
    ? { time: "", text }
    : { time: match[1]!, text: text.slice(match[0].length) };
}

/**
 * Reads the lines of a log. Bytes that are no UTF-8 become replacement characters.
 *
 * @param unfinished Whether what comes behind the last line feed is a line, too. A container that runs may go on with
 * it.
 */
export async function* logLines(
  stream: ReadableStream<Uint8Array>,
  unfinished: () => boolean,
): AsyncGenerator<LogLine> {
  const decoder = new TextDecoder();
  let open = "";
  for await (const bytes of stream) {
    let rest = decoder.decode(bytes, { stream: true });
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      const line = open + rest.slice(0, Math.max(0, Math.min(end, MAX_LINE - open.length)));
      open = "";
      rest = rest.slice(end + 1);
      yield lineOf(`${line}\n`);
    }
    if (open.length < MAX_LINE) open += rest.slice(0, MAX_LINE - open.length);
  }
  open += decoder.decode();
  if (open !== "" && unfinished()) yield lineOf(open);
}
