/**
 * The output of a session's containers: of all pods that its job has had, in their order, each line once.
 *
 * It is read when somebody asks, from where the last time ended, so that sessions nobody looks at cost nothing. What
 * is about to be lost (a pod that is deleted, a container that is started again) is read before.
 */
import { messageOf } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { SessionLog } from "../../worker/session_log.ts";
import type { KubernetesClient } from "../api/client.ts";
import { hasReason } from "../api/errors.ts";
import { podLog } from "../api/logs.ts";
import type { Pod } from "../api/types.ts";
import { logLines } from "./lines.ts";
import { containerOf, inOrder } from "./reasons.ts";

/** What {@linkcode PodOutput} needs. */
export interface PodOutputOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Name of the container in every pod. */
  readonly container: string;
  /** Where lines go. */
  readonly target: SessionLog;
  readonly log: Logger;
}

/** How long the log of one container may take to come (milliseconds). */
const READ_TIME = 20_000;
/** Silence after which a connection counts as cut (milliseconds). */
const IDLE_TIME = 10_000;
/** Runs before the last but one are no longer there. */
const KEPT_RUNS = 1;

/** The whole second of a time, in the zone the API is asked in; nodes may write in theirs. */
function secondOf(time: string): string {
  if (time.endsWith("Z")) return time.slice(0, 19);
  const milliseconds = Date.parse(time);
  return Number.isNaN(milliseconds) ? "" : new Date(milliseconds).toISOString().slice(0, 19);
}

/** How far the log of one container has been read. */
class Cursor {
  /** The last second of which lines were read: the API begins at whole seconds only. */
  #second = "";
  /** Lines of that second by their times, which are in nanoseconds. */
  #seen = new Map<string, number>();

  get since(): string | undefined {
    return this.#second === "" ? undefined : `${this.#second}Z`;
  }

  /** A filter that lets through what has not been read. */
  filter(): (time: string) => boolean {
    const old = new Map(this.#seen);
    return (time) => {
      const left = old.get(time) ?? 0;
      if (left > 0) {
        old.set(time, left - 1);
        return false;
      }
      const second = secondOf(time);
      if (second > this.#second) {
        this.#second = second;
        this.#seen = new Map();
      }
      if (second === this.#second) this.#seen.set(time, (this.#seen.get(time) ?? 0) + 1);
      return true;
    };
  }
}

/** One pod, and how far it has been read. */
interface Reading {
  /** Which run of the container is being read, counted by its restarts. */
  run: number;
  cursor: Cursor;
  done: boolean;
}

/** Reads the logs of pods into the log of a session. */
export class PodOutput {
  readonly #options: PodOutputOptions;
  readonly #readings = new Map<string, Reading>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** Nothing has been read. */
  constructor(options: PodOutputOptions) {
    this.#options = options;
  }

  /**
   * Reads what is new in the logs of these pods. Never throws: what cannot be read now comes the next time, if it is
   * still there.
   *
   * @param pods asks which pods there are, when it is time to read
   */
  catchUp(pods: () => Iterable<Pod>): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#readAll(pods).finally(() => this.#running = undefined);
      return this.#running;
    }
    // The one that runs may have begun before what the caller knows of was written.
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.catchUp(pods);
    });
    return this.#next;
  }

  /** Ends what is being read. */
  async close(): Promise<void> {
    this.#stop.abort(new Error("closed"));
    await this.#next;
    await this.#running;
  }

  async #readAll(pods: () => Iterable<Pod>): Promise<void> {
    for (const pod of inOrder(pods())) {
      if (this.#stop.signal.aborted) return;
      try {
        await this.#readPod(pod);
      } catch (error) {
        this.#options.log.debug("Cannot read the log of a pod", {
          pod: pod.metadata?.name,
          reason: messageOf(error),
        });
      }
    }
  }

  async #readPod(pod: Pod): Promise<void> {
    const { uid = "", name = "" } = pod.metadata ?? {};
    const status = containerOf(pod, this.#options.container);
    if (status === undefined) return;
    const restarts = status.restartCount ?? 0;
    let reading = this.#readings.get(uid);
    if (reading === undefined) {
      reading = { run: Math.max(0, restarts - KEPT_RUNS), cursor: new Cursor(), done: false };
      this.#readings.set(uid, reading);
    }
    if (reading.done) return;
    while (reading.run < restarts) {
      if (reading.run === restarts - KEPT_RUNS) await this.#read(name, reading.cursor, true, true);
      reading.run++;
      reading.cursor = new Cursor();
    }
    const { running, terminated } = status.state ?? {};
    if (!running && !terminated && !status.lastState?.terminated) return;
    await this.#read(name, reading.cursor, false, running === undefined);
    const over = pod.spec?.restartPolicy === "Never" || pod.status?.phase === "Succeeded";
    reading.done = terminated !== undefined && over;
  }

  async #read(pod: string, cursor: Cursor, previous: boolean, ended: boolean): Promise<void> {
    const { client, namespace, container, target } = this.#options;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(READ_TIME)]);
    const since = cursor.since;
    const stream = podLog(client, namespace, pod, {
      container,
      previous,
      timestamps: true,
      idleTimeout: IDLE_TIME,
      signal,
      ...(since === undefined ? {} : { sinceTime: since }),
    });
    const isNew = cursor.filter();
    try {
      for await (const { time, text } of logLines(stream, () => ended)) {
        if (time === "") target.add("stdout", text);
        else if (isNew(time)) target.add("stdout", text, undefined, time);
      }
    } catch (error) {
      // Containers that are only starting have no log, and those that are gone have none any more.
      if (!hasReason(error, "BadRequest", "NotFound")) throw error;
    }
  }
}
