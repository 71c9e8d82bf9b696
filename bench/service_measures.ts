/** The rows of the service's table, and the values that are made of others. */
import { type Measure, type Numbers, quantile } from "./measures.ts";

/** Sessions that are alive at a time. */
export const SESSIONS = [1, 50, 200];

const MOST = SESSIONS.at(-1)!;

function plain(title: string, unit: string, lessIsBetter = true, single = false): Measure {
  return { title, unit, lessIsBetter, single };
}

function upTo(title: string, unit: string, most: number): Measure {
  const met: Measure["met"] = (at) => at(0.5) <= most;
  return { title, unit, lessIsBetter: true, single: true, target: `<= ${most}`, met };
}

function share(title: string): Measure {
  const met: Measure["met"] = (at) => at(0.5) >= 90;
  return { title, unit: "%", lessIsBetter: false, single: true, target: ">= 90", met };
}

/** The rows, by the name of their values. */
export const SERVICE_MEASURES: Readonly<Record<string, Measure>> = {
  execute_ms: plain('`execute("1+1")`', "ms"),
  execute_beyond_ms: upTo("the same beyond an echo, by p50 [1]", "ms", 1),
  first_chunk_ms: plain("print until the client has it", "ms"),
  first_chunk_beyond_ms: upTo("the same beyond an echo, by p50 [1]", "ms", 5),
  staging_large_mb_s: plain("staging: one file of 200 MB", "MB/s", false, true),
  staging_large_share: share("share of a plain `fetch` to disk"),
  staging_small_files_s: plain("staging: 100 files of 4 KiB [2]", "files/s", false, true),
  staging_small_share: share("share of a plain `fetch` to disk, as many at a time"),
  start_ms: plain("`start` in an environment that is there", "ms"),
  ...Object.fromEntries(SESSIONS.map((count) => [
    `execute_ms_${count}`,
    plain(`\`execute("1+1")\` with ${count} session${count === 1 ? "" : "s"} alive [3]`, "ms"),
  ])),
  flat_ms: upTo(`the same beyond an echo, ${MOST} sessions less 1`, "ms", 0.5),
  all_at_once_ms: plain(
    `${MOST} sessions execute at once, until the last result`,
    "ms",
    true,
    true,
  ),
  worker_mb: plain(`memory of the worker with ${MOST} sessions`, "MB", true, true),
  worker_per_session_mb: plain("memory of the worker per session", "MB", true, true),
  pss_mb: plain("memory (PSS) of a session that has run cells", "MB"),
};

/** The footnotes of the table. */
export const SERVICE_NOTES = `
- [1] The echo is a service made with the same client library and Deno; it takes the same arguments
  and answers with an equal result. Both are called in turns by one Python client on one server.
- [2] Here with the listing of their folder, which the plain \`fetch\` is told.
- [3] Each call goes to any of them.
- "-" is what was not measured with an opponent, "fails" what it cannot do.
`.trim();

function median(numbers: Numbers, name: string): number {
  return quantile(numbers[name] ?? [NaN], 0.5);
}

/** What calls take beyond an echo. */
export function beyondEcho(found: Numbers, echo: string, calls: string): number[] {
  return [median(found, calls) - median(found, echo)];
}

/** The columns of the table, from what the client measured with calls and with many sessions. */
export function columns(
  calls: Numbers,
  sessions: Numbers,
): { ours: Numbers; echo: Numbers; reference: Numbers } {
  const beyond = (count: number) => beyondEcho(sessions, `echo_ms_${count}`, `execute_ms_${count}`);
  const ours: Numbers = {};
  const echo: Numbers = {};
  const reference: Numbers = {};
  const set = (target: Numbers, name: string, values: number[] | undefined) => {
    if (values !== undefined) target[name] = values;
  };
  set(ours, "execute_ms", calls.execute_ms);
  set(ours, "first_chunk_ms", calls.first_chunk_ms);
  set(echo, "execute_ms", calls.echo_ms);
  set(reference, "execute_ms", calls.reference_execute_ms);
  set(reference, "first_chunk_ms", calls.reference_first_chunk_ms);
  if (calls.execute_ms !== undefined) {
    ours.execute_beyond_ms = beyondEcho(calls, "echo_ms", "execute_ms");
    ours.first_chunk_beyond_ms = beyondEcho(calls, "echo_ms", "first_chunk_ms");
  }
  if (calls.reference_execute_ms !== undefined) {
    reference.execute_beyond_ms = beyondEcho(calls, "echo_ms", "reference_execute_ms");
  }
  if (sessions.start_ms !== undefined) {
    for (const count of SESSIONS) {
      set(ours, `execute_ms_${count}`, sessions[`execute_ms_${count}`]);
      set(echo, `execute_ms_${count}`, sessions[`echo_ms_${count}`]);
    }
    for (const name of ["start_ms", "all_at_once_ms", "pss_mb"]) set(ours, name, sessions[name]);
    ours.flat_ms = [beyond(MOST)[0]! - beyond(SESSIONS[0]!)[0]!];
    const memory = (count: number) => median(sessions, `worker_mb_${count}`);
    ours.worker_mb = [memory(MOST)];
    ours.worker_per_session_mb = [(memory(MOST) - memory(SESSIONS[0]!)) / (MOST - SESSIONS[0]!)];
  }
  return { ours, echo, reference };
}
