/**
 * The worker's figures for Prometheus. Names follow its conventions: base units, `_total` for counters.
 *
 * Labels have few values each (method names, error codes, states): never ids, workspaces or users.
 */
import process from "node:process";
import { VERSION } from "../version.ts";
import type { ConnectionEvent } from "./connection.ts";
import { type Counter, type Histogram, type Labels, PrometheusRegistry } from "./prometheus.ts";

/** Upper bounds of call durations in seconds: from an idle worker's `execute` to a long cell. */
const CALL_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600];
/** Upper bounds of build durations in seconds. */
const BUILD_BUCKETS = [1, 5, 10, 20, 30, 60, 120, 300, 600, 1800];

/** How an environment was got. */
export type EnvironmentOutcome = "hit" | "built" | "failed";

/** What is asked when the figures are read. */
export interface MetricsSources {
  /** Package manager, such as `mamba`. */
  manager(): string;
  /** States of the sessions that have not ended. */
  sessionStates(): readonly string[];
  /** How full the worker is; 1 is full. */
  load(): number;
  /** Whether the server is connected. */
  connected(): boolean;
}

const PREFIX = "hypha_conda_worker_";

/** Counts what happens, and tells it to Prometheus. */
export class Metrics {
  readonly #registry = new PrometheusRegistry();
  readonly #calls: Counter;
  readonly #seconds: Histogram;
  readonly #executions: Counter;
  readonly #environments: Counter;
  readonly #builds: Histogram;
  readonly #reconnects: Counter;

  /** Figures of one worker. */
  constructor(sources: MetricsSources) {
    const registry = this.#registry;
    const counter = (name: string, help: string) => registry.counter(PREFIX + name, help);
    this.#calls = counter("calls_total", "Calls of the service that have ended");
    this.#seconds = registry.histogram(
      `${PREFIX}call_seconds`,
      "Duration of calls",
      CALL_BUCKETS,
    );
    this.#executions = counter("executions_total", "Executions by their outcome");
    this.#environments = counter(
      "environments_total",
      "Environments asked for: found in the cache, built, failed",
    );
    this.#builds = registry.histogram(
      `${PREFIX}environment_build_seconds`,
      "Time until an environment that was not in the cache was ready",
      BUILD_BUCKETS,
    );
    this.#reconnects = counter("reconnects_total", "Reconnections to the server");
    // There from the beginning, so that a rate can be computed over the first one.
    this.#reconnects.add({}, 0);
    const gauge = (
      name: string,
      help: string,
      read: () => number | Iterable<readonly [Labels, number]>,
    ) => registry.gauge(PREFIX + name, help, read);
    gauge("info", "What this worker is; always 1", () => [
      [{ version: VERSION, manager: sources.manager() }, 1],
    ]);
    gauge("sessions", "Sessions that have not ended, by state", () => {
      const counts = new Map(["starting", "running", "dead"].map((state) => [state, 0]));
      for (const state of sources.sessionStates()) counts.set(state, (counts.get(state) ?? 0) + 1);
      return [...counts].map(([state, count]) => [{ state }, count] as const);
    });
    gauge("load", "How full the worker is; 1 is full", () => sources.load());
    gauge("connected", "Whether the server is connected", () => sources.connected() ? 1 : 0);
    // The names every Prometheus client library uses for its process, without the worker's own prefix.
    registry.gauge(
      "process_resident_memory_bytes",
      "Resident memory size in bytes.",
      () => Deno.memoryUsage().rss,
    );
    registry.gauge(
      "process_cpu_seconds_total",
      "Total user and system CPU time spent in seconds.",
      () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1e6;
      },
      "counter",
    );
  }

  /** All figures in Prometheus' text format. */
  text(): string {
    return this.#registry.text();
  }

  /** A call has ended; `outcome` is `ok` or an error's code. */
  call(method: string, outcome: string, seconds: number): void {
    this.#calls.add({ method, outcome });
    this.#seconds.observe(seconds, { method });
  }

  /** A cell has ended: `ok`, `error`, or the code of what kept it from running. */
  execution(outcome: string): void {
    this.#executions.add({ outcome });
  }

  /** An environment was asked for. */
  environment(outcome: EnvironmentOutcome, seconds: number): void {
    this.#environments.add({ outcome });
    if (outcome === "built") this.#builds.observe(seconds);
  }

  /** The connection has changed. */
  connection(event: ConnectionEvent): void {
    if (event.type === "reconnected") this.#reconnects.add();
  }
}
