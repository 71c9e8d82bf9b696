/**
 * Counters, gauges and histograms in Prometheus' text format (exposition format 0.0.4).
 *
 * `prom-client`, the usual library, cannot be compiled into the executable: analysing one of its dependencies
 * overflows the compiler's stack (deno 2.9). What is needed of it is this.
 */

/** Values of a metric's labels. */
export type Labels = Readonly<Record<string, string>>;

/** Media type of the text format. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) =>
    `${name}="${escapeHelp(value).replaceAll('"', '\\"')}"`
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

/** A metric: its name, meaning and samples. */
interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Lines without the name in front: what follows it, and the value. */
  samples(): Iterable<readonly [suffix: string, value: number]>;
}

/** Counts events. */
export interface Counter {
  /** @param amount At least 0. @default 1 */
  add(labels?: Labels, amount?: number): void;
}

/** Counts values in ranges. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** The metrics of one worker. */
export class PrometheusRegistry {
  readonly #metrics: Metric[] = [];

  /** A count that only grows. */
  counter(name: string, help: string): Counter {
    const values = new Map<string, number>();
    this.#metrics.push({ name, help, type: "counter", samples: () => values });
    return {
      add: (labels = {}, amount = 1) => {
        const key = labelText(labels);
        values.set(key, (values.get(key) ?? 0) + amount);
      },
    };
  }

  /** A number that is asked for when the metrics are read; with labels several. */
  gauge(
    name: string,
    help: string,
    read: () => number | Iterable<readonly [Labels, number]>,
    type: "gauge" | "counter" = "gauge",
  ): void {
    this.#metrics.push({
      name,
      help,
      type,
      samples: () => {
        const value = read();
        if (typeof value === "number") return [["", value]];
        return [...value].map(([labels, number]) => [labelText(labels), number] as const);
      },
    });
  }

  /**
   * Counts of values by their size.
   *
   * @param bounds Upper bounds of the ranges, ascending; the range without bound is added.
   */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const all = [...bounds, Infinity];
    const series = new Map<string, { labels: Labels; counts: number[]; sum: number }>();
    this.#metrics.push({
      name,
      help,
      type: "histogram",
      *samples() {
        for (const { labels, counts, sum } of series.values()) {
          let count = 0;
          for (const [index, bound] of all.entries()) {
            count += counts[index]!;
            yield [`_bucket${labelText({ ...labels, le: numberText(bound) })}`, count];
          }
          yield [`_sum${labelText(labels)}`, sum];
          yield [`_count${labelText(labels)}`, count];
        }
      },
    });
    return {
      observe: (value, labels = {}) => {
        const key = labelText(labels);
        let one = series.get(key);
        if (one === undefined) {
          one = { labels, counts: all.map(() => 0), sum: 0 };
          series.set(key, one);
        }
        const index = all.findIndex((bound) => value <= bound);
        one.counts[index < 0 ? all.length - 1 : index]! += 1;
        one.sum += value;
      },
    };
  }

  /** All metrics in the text format. */
  text(): string {
    const lines: string[] = [];
    for (const { name, help, type, samples } of this.#metrics) {
      lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`);
      for (const [suffix, value] of samples()) lines.push(`${name}${suffix} ${numberText(value)}`);
    }
    return lines.join("\n") + "\n";
  }
}
