/**
 * The worker's figures for Prometheus. Names follow its conventions: base units, `_total` for counters.
 *
 * Labels have few values each (method names, error codes, states): never ids, workspaces or users.
 */
import process from "node:process";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { VERSION } from "../version.ts";
import type { ConnectionEvent } from "./connection.ts";

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

/** Counts what happens, and tells it to Prometheus. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #calls = this.#counter("calls_total", "Calls of the service that have ended", [
    "method",
    "outcome",
  ]);
  readonly #seconds = this.#histogram("call_seconds", "Duration of calls", CALL_BUCKETS, [
    "method",
  ]);
  readonly #executions = this.#counter("executions_total", "Executions by their outcome", [
    "outcome",
  ]);
  readonly #environments = this.#counter(
    "environments_total",
    "Environments asked for: found in the cache, built, failed",
    ["outcome"],
  );
  readonly #builds = this.#histogram(
    "environment_build_seconds",
    "Time until an environment that was not in the cache was ready",
    BUILD_BUCKETS,
    [],
  );
  readonly #reconnects = this.#counter("reconnects_total", "Reconnections to the server", []);

  /** Figures of one worker. */
  constructor(sources: MetricsSources) {
    this.#gauge("info", "What this worker is; always 1", ["version", "manager"], (gauge) => {
      gauge.set({ version: VERSION, manager: sources.manager() }, 1);
    });
    this.#gauge("sessions", "Sessions that have not ended, by state", ["state"], (gauge) => {
      gauge.reset();
      for (const state of ["starting", "running", "dead"]) gauge.set({ state }, 0);
      for (const state of sources.sessionStates()) gauge.inc({ state });
    });
    this.#gauge("load", "How full the worker is; 1 is full", [], (gauge) => {
      gauge.set(sources.load());
    });
    this.#gauge("connected", "Whether the server is connected", [], (gauge) => {
      gauge.set(sources.connected() ? 1 : 0);
    });
    this.#process();
  }

  /** Media type of {@linkcode text}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All figures in Prometheus' text format. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  /** A call has ended; `outcome` is `ok` or an error's code. */
  call(method: string, outcome: string, seconds: number): void {
    this.#calls.inc({ method, outcome });
    this.#seconds.observe({ method }, seconds);
  }

  /** A cell has ended: `ok`, `error`, or the code of what kept it from running. */
  execution(outcome: string): void {
    this.#executions.inc({ outcome });
  }

  /** An environment was asked for. */
  environment(outcome: EnvironmentOutcome, seconds: number): void {
    this.#environments.inc({ outcome });
    if (outcome === "built") this.#builds.observe(seconds);
  }

  /** The connection has changed. */
  connection(event: ConnectionEvent): void {
    if (event.type === "reconnected") this.#reconnects.inc();
  }

  #name(name: string): string {
    return `hypha_conda_worker_${name}`;
  }

  #counter<T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> {
    const registers = [this.#registry];
    return new Counter({ name: this.#name(name), help, labelNames, registers });
  }

  #histogram<T extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly T[],
  ): Histogram<T> {
    const registers = [this.#registry];
    return new Histogram({ name: this.#name(name), help, buckets, labelNames, registers });
  }

  #gauge<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    collect: (gauge: Gauge<T>) => void,
  ): void {
    new Gauge({
      name: this.#name(name),
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }

  /** The names every Prometheus client library uses for its process, without the worker's own prefix. */
  #process(): void {
    const registers = [this.#registry];
    new Gauge({
      name: "process_resident_memory_bytes",
      help: "Resident memory size in bytes.",
      registers,
      collect() {
        this.set(Deno.memoryUsage().rss);
      },
    });
    new Counter({
      name: "process_cpu_seconds_total",
      help: "Total user and system CPU time spent in seconds.",
      registers,
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1e6);
      },
    });
  }
}
