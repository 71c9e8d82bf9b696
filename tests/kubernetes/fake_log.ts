/** What a container has written, for the fake API server. */
import { concat } from "@std/bytes";
import { Refusal } from "./fake_store.ts";

const encoder = new TextEncoder();

/** The log of one run of a container. */
export class FakeLog {
  readonly #lines: { time: string; bytes: Uint8Array<ArrayBuffer> }[] = [];
  #ended = false;
  #changed = Promise.withResolvers<void>();

  /** Writes one line; its end is added. */
  line(content: string | Uint8Array, time: string = new Date().toISOString()): void {
    const bytes = typeof content === "string" ? encoder.encode(content) : content;
    // As the kubelet does, with nanoseconds.
    this.#lines.push({
      time: time.replace(/\.(\d+)?Z$/, ".$1000000Z"),
      bytes: concat([bytes, encoder.encode("\n")]),
    });
    this.#tell();
  }

  /** The container has ended. */
  end(): void {
    this.#ended = true;
    this.#tell();
  }

  /** The answer to a request. */
  answer(query: URLSearchParams): Response {
    const timestamps = query.get("timestamps") === "true";
    const since = Date.parse(query.get("sinceTime") ?? "1970-01-01T00:00:00Z");
    if (!Number.isFinite(since)) throw new Refusal(400, "BadRequest", "unable to parse sinceTime");
    const first = this.#lines.findIndex(({ time }) => Date.parse(time) >= since);
    const tail = query.get("tailLines");
    let next = Math.max(
      first < 0 ? this.#lines.length : first,
      tail === null ? 0 : this.#lines.length - Number(tail),
    );
    let left = Number(query.get("limitBytes") ?? Infinity);
    const follow = query.get("follow") === "true";
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (follow && !this.#ended && !cancelled && next >= this.#lines.length) {
          await this.#changed.promise;
        }
        const line = this.#lines[next++];
        if (cancelled) return;
        if (line === undefined || left <= 0) return controller.close();
        const all = timestamps ? concat([encoder.encode(`${line.time} `), line.bytes]) : line.bytes;
        const part = all.subarray(0, left);
        left -= part.length;
        controller.enqueue(part);
      },
      cancel: () => {
        cancelled = true;
        this.#tell();
      },
    }, { highWaterMark: 0 });
    return new Response(body, { headers: { "content-type": "text/plain" } });
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
