/** What is measured, what it should be, and how a table is made of it. */

/** Measured values by name; the programs that measure opponents use the same names. */
export type Numbers = Record<string, number[]>;

/** One row of the table. */
export interface Measure {
  readonly title: string;
  readonly unit: string;
  /** Whether small values are good. */
  readonly lessIsBetter: boolean;
  /** Whether only one value describes it. */
  readonly single?: boolean;
  /** What issue and README promise, in words, and whether values keep it. */
  readonly target?: string;
  readonly met?: (at: (share: number) => number) => boolean;
}

const upTo = (p50: number, p99?: number) => (at: (share: number) => number) =>
  at(0.5) <= p50 && (p99 === undefined || at(0.99) <= p99);
const interrupt = (title: string): Measure => ({
  title: `interrupt: ${title}`,
  unit: "ms",
  lessIsBetter: true,
  target: "p99 <= 10",
  met: (at) => at(0.99) <= 10,
});
const count = (title: string): Measure => ({
  title,
  unit: "",
  lessIsBetter: true,
  single: true,
  target: "0",
  met: (at) => at(0.5) === 0,
});

/** The rows, by the name of their values. */
export const MEASURES: Readonly<Record<string, Measure>> = {
  round_trip_ms: {
    title: "`1+1`, until the result is complete",
    unit: "ms",
    lessIsBetter: true,
    target: "p50 <= 0.25, p99 <= 1",
    met: upTo(0.25, 1),
  },
  echo_ms: {
    title: "a bare echo of 200 bytes by the same Python, in turns [5]",
    unit: "ms",
    lessIsBetter: true,
  },
  round_trip_one_ms: {
    title: "`1+1` with both processes on one processor [5]",
    unit: "ms",
    lessIsBetter: true,
    target: "p50 <= 0.25, p99 <= 1",
    met: upTo(0.25, 1),
  },
  executes_per_s: {
    title: "executes of one session",
    unit: "1/s",
    lessIsBetter: false,
    single: true,
    target: ">= 4000",
    met: (at) => at(0.5) >= 4000,
  },
  executes_one_per_s: {
    title: "executes of one session on one processor [5]",
    unit: "1/s",
    lessIsBetter: false,
    single: true,
    target: ">= 4000",
    met: (at) => at(0.5) >= 4000,
  },
  session_start_ms: {
    title: "session start",
    unit: "ms",
    lessIsBetter: true,
    target: "p50 <= 15",
    met: upTo(15),
  },
  fork_ms: {
    title: "a bare fork of Python with three connections, in turns [5]",
    unit: "ms",
    lessIsBetter: true,
  },
  first_start_ms: {
    title: "first start in an environment, beyond `<manager> run python`",
    unit: "ms",
    lessIsBetter: true,
    target: "p50 <= 60",
    met: upTo(60),
  },
  asyncio_ms: {
    title: "`import asyncio` by the same Python, beyond `python -c pass`, in turns [5]",
    unit: "ms",
    lessIsBetter: true,
  },
  many_starts_ms: {
    title: "50 sessions at once [1]",
    unit: "ms",
    lessIsBetter: true,
    target: "<= 500",
    met: upTo(500),
  },
  first_print_ms: {
    title: "print until it arrives",
    unit: "ms",
    lessIsBetter: true,
    target: "p50 <= 1",
    met: upTo(1),
  },
  prints_mb_s: { title: "100-byte prints", unit: "MB/s", lessIsBetter: false },
  prints_share: {
    title: "100-byte prints, share of `python x.py \\| cat`",
    unit: "%",
    lessIsBetter: false,
    target: ">= 90",
    met: (at) => at(0.5) >= 90,
  },
  os_write_mb_s: {
    title: "`os.write(1)`, 1 MiB each, all of it kept",
    unit: "MB/s",
    lessIsBetter: false,
  },
  os_write_limited_mb_s: {
    title: "the same with the default limit of output [2]",
    unit: "MB/s",
    lessIsBetter: false,
    target: ">= 300",
    met: (at) => at(0.5) >= 300,
  },
  child_mb_s: {
    title: "output of a child process, all of it kept",
    unit: "MB/s",
    lessIsBetter: false,
  },
  child_limited_mb_s: {
    title: "the same with the default limit of output [2]",
    unit: "MB/s",
    lessIsBetter: false,
    target: ">= 300",
    met: (at) => at(0.5) >= 300,
  },
  growth_mb: {
    title: "growth of the worker over 1 GB of output [2]",
    unit: "MB",
    lessIsBetter: true,
    single: true,
    target: "<= 64",
    met: (at) => at(0.5) <= 64,
  },
  interrupt_loop_ms: interrupt("busy loop"),
  interrupt_sleep_ms: interrupt("sleep"),
  interrupt_child_ms: interrupt("child process"),
  interrupt_await_ms: interrupt("top-level await [3]"),
  random_interrupts_wrong: count("1000 interrupts at random: replies lost, doubled or wrong [4]"),
  memory_per_session_mb: {
    title: "memory (PSS) of an idle session",
    unit: "MB",
    lessIsBetter: true,
    target: "<= 5",
    met: upTo(5),
  },
  cycles_left: count("1000 starts and stops: processes, descriptors, files left [4]"),
};

/** The footnotes of the table. */
export const NOTES = `
- [1] The opponents start 20: 50 of their processes take 3 GB.
- [2] With a receiver of the live stream. Output beyond the limit is read, and its end kept; nothing
  is written to disk.
- [3] The opponents cannot interrupt it: it ends by itself, here after 2 s. hypha's worker offers no
  interrupt at all: here the one of its kernel class is called.
- [4] Not measured with the opponents.
- [5] Says what of the row above is the machine's: the least that it needs, in turns with it; or the
  same where no process has to be woken on another processor.
- "-" is what was not measured with an opponent, "fails" what it cannot do.
`.trim();

/** The value below which a share of all values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function format(value: number): string {
  return value.toFixed(value !== 0 && Math.abs(value) < 10 ? 2 : value < 100 ? 1 : 0);
}

function cells(measure: Measure, values: number[] | undefined): string {
  if (values === undefined) return "-";
  if (values.length === 0) return "fails";
  const { lessIsBetter, single } = measure;
  const shares = single ? [0.5] : [0.5, 0.95, 0.99];
  return shares.map((share) => format(quantile(values, lessIsBetter ? share : 1 - share)))
    .join(" / ");
}

/** The table in Markdown; values are p50 / p95 / p99 of the bad side. */
export function table(
  ours: Numbers,
  opponents: Readonly<Record<string, Numbers>>,
  measures: Readonly<Record<string, Measure>> = MEASURES,
): string {
  const rows = [["", "unit", "this", "target", "", ...Object.keys(opponents)]];
  for (const [name, measure] of Object.entries(measures)) {
    const mine = ours[name];
    const at = (share: number) => quantile(mine ?? [NaN], measure.lessIsBetter ? share : 1 - share);
    const verdict = measure.met === undefined ? "" : measure.met(at) ? "met" : "missed";
    rows.push([
      measure.title,
      measure.unit,
      cells(measure, mine),
      measure.target ?? "",
      verdict,
      ...Object.values(opponents).map((numbers) => cells(measure, numbers[name])),
    ]);
  }
  const widths = rows[0]!.map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]!.length))
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join("\n");
}
