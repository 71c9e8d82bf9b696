/**
 * Collects the output of one cell: the live stream as it comes, and the list of outputs of the result, in which
 * neighbouring text is joined, updates are applied and cleared output is gone.
 */
import type { Header } from "./frames.ts";
import type { StreamName } from "./merge.ts";
import type { Bundle, LiveOutput, Output } from "./outputs.ts";
import { Utf8Stream } from "./utf8.ts";

/** Options of {@linkcode Collector}. */
export interface CollectorOptions {
  /** Receives output the moment it is in order. Must not throw and must not block. */
  onOutput?: ((output: LiveOutput) => void) | undefined;
  /** Bytes of text and displays that are kept; more is cut with a notice. @default 10 MiB */
  limit?: number;
}

const DEFAULT_LIMIT = 10 * 1024 * 1024;

/** Output of one cell. */
export class Collector {
  readonly #onOutput: ((output: LiveOutput) => void) | undefined;
  readonly #limit: number;
  readonly #decoders: Record<StreamName, Utf8Stream> = {
    stdout: new Utf8Stream(),
    stderr: new Utf8Stream(),
  };
  readonly #outputs: Output[] = [];
  readonly #parts = new Map<Output, string[]>();
  readonly #displays = new Map<string, Output[]>();
  #size = 0;
  #truncated = false;
  #clearPending = false;

  /** Starts with nothing. */
  constructor(options: CollectorOptions = {}) {
    this.#onOutput = options.onOutput;
    this.#limit = options.limit ?? DEFAULT_LIMIT;
  }

  /** Whether output was cut. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /** Adds bytes of a stream. Bytes that are not UTF-8 become replacement characters. */
  bytes(name: StreamName, bytes: Uint8Array): void {
    if (this.#truncated) return;
    const room = this.#limit - this.#size;
    const kept = bytes.length > room ? bytes.subarray(0, Math.max(room, 0)) : bytes;
    this.#size += bytes.length;
    this.#text(name, this.#decoders[name].push(kept));
    if (kept.length < bytes.length) this.#cut();
  }

  /** Adds a control frame of the session: a display, an update, a result, or an order to clear. */
  control(frame: Header): void {
    if (frame.op === "clear") {
      const wait = frame.wait === true;
      this.#onOutput?.({ type: "clear_output", wait });
      if (wait) this.#clearPending = true;
      else this.#clear();
      return;
    }
    if (frame.op !== "display" && frame.op !== "result") return;
    const data = frame.data as Bundle;
    const metadata = (frame.metadata ?? {}) as Bundle;
    if (this.#truncated) return;
    this.#size += approximateSize(data);
    if (this.#size > this.#limit) {
      this.#cut();
      return;
    }
    if (frame.op === "result") {
      const count = frame.execution_count as number;
      this.#add({ type: "execute_result", data, metadata, execution_count: count });
      return;
    }
    const id = typeof frame.display_id === "string" ? frame.display_id : undefined;
    if (frame.update === true && id !== undefined) this.#update(id, data, metadata);
    else this.#add({ type: "display_data", data, metadata }, id);
  }

  /** The outputs so far; text of a stream that ends inside a character is completed. */
  finish(): Output[] {
    for (const name of ["stdout", "stderr"] as const) {
      this.#text(name, this.#decoders[name].end());
    }
    for (const [output, parts] of this.#parts) {
      if (output.type === "stream") output.text = parts.join("");
    }
    this.#parts.clear();
    return this.#outputs;
  }

  #text(name: StreamName, text: string): void {
    if (text === "") return;
    this.#onOutput?.({ type: "stream", name, text });
    this.#clearIfPending();
    const last = this.#outputs.at(-1);
    if (last?.type === "stream" && last.name === name) {
      this.#parts.get(last)?.push(text);
      return;
    }
    const output: Output = { type: "stream", name, text: "" };
    this.#outputs.push(output);
    this.#parts.set(output, [text]);
  }

  #add(output: Output, displayId?: string): void {
    this.#onOutput?.(output);
    this.#clearIfPending();
    this.#outputs.push(output);
    if (displayId === undefined) return;
    const shown = this.#displays.get(displayId);
    if (shown === undefined) this.#displays.set(displayId, [output]);
    else shown.push(output);
  }

  #update(id: string, data: Bundle, metadata: Bundle): void {
    this.#onOutput?.({
      type: "update_display_data",
      data,
      metadata,
      transient: { display_id: id },
    });
    for (const output of this.#displays.get(id) ?? []) {
      if (output.type === "stream") continue;
      output.data = data;
      output.metadata = metadata;
    }
  }

  #clearIfPending(): void {
    if (!this.#clearPending) return;
    this.#clearPending = false;
    this.#clear();
  }

  #clear(): void {
    this.#outputs.length = 0;
    this.#parts.clear();
    this.#displays.clear();
  }

  #cut(): void {
    this.#truncated = true;
    for (const decoder of Object.values(this.#decoders)) decoder.reset();
    const mib = (this.#limit / 1024 / 1024).toFixed(1);
    this.#text("stderr", `\n[output truncated: more than ${mib} MiB in one cell]\n`);
  }
}

function approximateSize(data: Bundle): number {
  let size = 0;
  for (const value of Object.values(data)) {
    size += typeof value === "string" ? value.length : JSON.stringify(value)?.length ?? 0;
  }
  return size;
}
