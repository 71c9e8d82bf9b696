/**
 * Mixed load for a time, and a look at the worker after each round of it, when everything is stopped again: what is
 * left then and was not there before is a leak.
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { descendants, type Stage } from "../tests/e2e/stage.ts";
import { filesBelow } from "../scripts/leftovers.ts";
import { stackPaths } from "../tests/stack/stack.ts";
import { clientVariables, Part } from "./service_parts.ts";

/** What a worker has at rest. */
export interface Rest {
  /** Minutes since the beginning of the soak. */
  readonly minutes: number;
  /** Sessions that have been started so far. */
  readonly starts: number;
  /** Resident memory in MB. */
  readonly memory: number;
  /** Open descriptors of the worker. */
  readonly descriptors: number;
  /** Open descriptors of all processes below it. */
  readonly descriptorsBelow: number;
  /** Processes below it. */
  readonly processes: number;
  /** Files and directories of sessions and of the worker itself. */
  readonly files: number;
}

/** What is counted exactly: after warm-up it must come back to the same. */
export const COUNTS = ["descriptors", "descriptorsBelow", "processes", "files"] as const;

/** How {@linkcode soak} works. */
export interface SoakOptions {
  /** How many rounds. */
  rounds: number;
  /** Length of a round in seconds. */
  seconds: number;
  /** How many things happen at a time. @default 4 */
  lanes?: number;
  /** Receives each rest, and what was done in the round before it. */
  onRest?: (rest: Rest, done: Record<string, number>) => void;
}

/** The result of a soak. */
export interface Soak {
  readonly rests: Rest[];
  /** What was done, by name. */
  readonly done: Record<string, number>;
}

/** Looks per rest, and the pause between them: something short, such as a heartbeat's timer, may be under way. */
const LOOKS = 6;
const PAUSE_MS = 250;

async function count(directory: string): Promise<number> {
  let found = 0;
  try {
    for await (const _ of Deno.readDir(directory)) found++;
  } catch {
    // A process that has ended has none.
  }
  return found;
}

/** Resident memory of a process in MB. */
export async function residentMemory(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s*(\d+)/.exec(status)?.[1]) / 1024;
}

async function look(stage: Stage): Promise<Omit<Rest, "minutes" | "starts">> {
  const { pid, workingDir } = stage.worker;
  const below = await descendants(pid);
  const open = await Promise.all(below.map((one) => count(`/proc/${one}/fd`)));
  return {
    memory: await residentMemory(pid),
    descriptors: await count(`/proc/${pid}/fd`),
    descriptorsBelow: open.reduce((sum, one) => sum + one, 0),
    processes: below.length,
    // The worker's own temporary directory, with that of the sessions in it; the cache is elsewhere.
    files: (await filesBelow(dirname(workingDir))).length,
  };
}

/** The least of several looks: what is always there. */
async function rest(stage: Stage): Promise<Omit<Rest, "minutes" | "starts">> {
  let least = await look(stage);
  for (let i = 1; i < LOOKS; i++) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    const next = await look(stage);
    least = {
      memory: Math.min(least.memory, next.memory),
      descriptors: Math.min(least.descriptors, next.descriptors),
      descriptorsBelow: Math.min(least.descriptorsBelow, next.descriptorsBelow),
      processes: Math.min(least.processes, next.processes),
      files: Math.min(least.files, next.files),
    };
  }
  return least;
}

/**
 * Puts load on the worker of a stage, whose cache must be outside of its own directory.
 *
 * @throws when a call gives something else than it has to
 */
export async function soak(stage: Stage, options: SoakOptions): Promise<Soak> {
  const { rounds, seconds, lanes = 4, onRest } = options;
  const program = join(dirname(fromFileUrl(import.meta.url)), "service_soak.py");
  const env = { ...await clientVariables(stage), LANES: String(lanes) };
  await using client = new Part("the load", stackPaths.hyphaPython, [program], env);
  const rests: Rest[] = [];
  const total: Record<string, number> = {};
  const started = performance.now();
  for (let round = 0; round < rounds; round++) {
    await client.tell(String(seconds));
    const done = await client.answer<Record<string, number>>();
    for (const [name, value] of Object.entries(done)) total[name] = (total[name] ?? 0) + value;
    const starts = (total.starts ?? 0) + (total["stopped while busy"] ?? 0);
    const now = await rest(stage);
    rests.push({ minutes: (performance.now() - started) / 60_000, starts, ...now });
    onRest?.(rests.at(-1)!, done);
  }
  await client.tell("");
  await client.finished();
  return { rests, done: total };
}

/**
 * The slope through points, in y per x: the median of the slopes between any two (Theil and Sen), which a few points
 * far off do not turn.
 */
export function slope(points: readonly (readonly [number, number])[]): number {
  const slopes: number[] = [];
  for (const [index, [x, y]] of points.entries()) {
    for (const [otherX, otherY] of points.slice(index + 1)) {
      if (otherX !== x) slopes.push((otherY - y) / (otherX - x));
    }
  }
  slopes.sort((a, b) => a - b);
  return slopes[Math.floor(slopes.length / 2)] ?? 0;
}

/** How one figure has developed. */
export interface Development {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly most: number;
  /** Per minute. */
  readonly slope: number;
  /** `undefined` when the soak was too short to tell. */
  readonly grows: boolean | undefined;
}

/**
 * Starts after which memory must stay: by then the worker keeps the logs of 200 ended sessions, as many as it ever
 * does, and its heap has got the size that it needs for them.
 */
const WARM_STARTS = 400;
/**
 * Minutes after which memory must stay: the RPC client (hypha-rpc 0.21) remembers each call for 10 to 15 minutes, so
 * that until then memory grows with the number of calls.
 */
const WARM_MINUTES = 15;
/** Fewer points have no slope worth a verdict. */
const LEAST = 8;

function developOne(
  name: string,
  points: readonly (readonly [number, number])[],
  growing: (perMinute: number, first: number, last: number, minutes: number) => boolean,
): Development {
  const values = points.map(([, value]) => value);
  const [first, last] = [values[0]!, values.at(-1)!];
  const perMinute = slope(points);
  const minutes = points.at(-1)![0] - points[0]![0];
  const grows = growing(perMinute, first, last, minutes);
  return { name, first, last, most: Math.max(...values), slope: perMinute, grows };
}

/**
 * How the figures of a worker have developed after its warm-up. A count grows when it is higher at the end than at
 * the beginning and its slope is above nothing; memory when its slope would add a tenth of it in half an hour and has
 * already added more than 8 MB.
 */
export function develop(rests: readonly Rest[]): Development[] {
  const points = (of: readonly Rest[], name: typeof COUNTS[number] | "memory") =>
    of.map((one) => [one.minutes, one[name]] as const);
  // The first round makes what is made once, such as the fork server.
  const found = COUNTS.map((name) =>
    developOne(
      name,
      points(rests.slice(1), name),
      (slope, first, last) => slope > 0 && last > first,
    )
  );
  const warm = rests.filter((one) => one.starts >= WARM_STARTS && one.minutes >= WARM_MINUTES);
  const enough = warm.length >= LEAST;
  const memory = developOne(
    "memory in MB",
    points(enough ? warm : rests, "memory"),
    (slope, first, _last, minutes) => slope * 30 > first / 10 && slope * minutes > 8,
  );
  return [...found, enough ? memory : { ...memory, grows: undefined }];
}
