/**
 * From the lines managers and pip print to progress.
 *
 * Pure: a state and a line give the next state and perhaps some progress. Phases are `solve`, `download`,
 * `link`, `done` and, for pip, `pip`. All managers tell how many packages there are and how many bytes are to
 * be fetched, but only mamba 2 counts packages while it links; of the others no more is known than which phase
 * they are in.
 */
import type { Progress } from "../progress.ts";

/** What the lines so far have told. */
export interface ProgressState {
  readonly phase: "start" | "solve" | "download" | "link" | "done";
  /** Packages to be installed; 0 as long as that is unknown. */
  readonly total: number;
  /** Packages linked. */
  readonly linked: number;
  /** Bytes to be fetched; `undefined` as long as that is unknown. */
  readonly bytes?: number;
  /** Whether packages come from a lock file: nothing is solved then, and sizes are given as nothing. */
  readonly explicit?: boolean;
}

/** Before the first line. */
export const INITIAL_PROGRESS: ProgressState = { phase: "start", total: 0, linked: 0 };

/** The state after a line, and the news in it. */
export interface ProgressStep {
  readonly state: ProgressState;
  readonly progress?: Progress;
}

/** A step with news, which carry the counts that are known. */
function step(
  state: ProgressState,
  change: Partial<ProgressState>,
  message: string,
  percent?: number,
): ProgressStep {
  const next = { ...state, ...change };
  const { phase, total, linked, bytes } = next;
  const done = phase === "done" ? total : linked;
  return {
    state: next,
    progress: {
      type: "info",
      message,
      phase,
      ...(percent === undefined ? {} : { percent }),
      ...(total === 0 || phase === "solve"
        ? {}
        // The last line announces a package: it is not yet linked.
        : { packages: { done: phase === "link" && linked > 0 ? linked - 1 : done, total } }),
      ...(phase !== "download" || !bytes ? {} : { bytes: { done: 0, total: bytes } }),
    },
  };
}

function packages(count: number): string {
  return count === 1 ? "1 package" : count > 1 ? `${count} packages` : "packages";
}

/** Bytes of a size as the managers print it; mamba counts in thousands, conda in 1024. */
export function parseSize(text: string, base: 1000 | 1024): number | undefined {
  const parts = /^([\d.]+)\s*([kmgt]?)i?b?$/i.exec(text.trim());
  if (parts === null) return undefined;
  const unit = parts[2]!.toLowerCase();
  const power = unit === "" ? 0 : "kmgt".indexOf(unit) + 1;
  return Math.round(Number(parts[1]) * base ** power);
}

/** What a plan in mamba's words tells; mamba 1 prints it too. */
function readPlan(state: ProgressState, text: string): ProgressStep | undefined {
  const install = /^Install: (\d+) packages?/.exec(text);
  if (install !== null) return { state: { ...state, total: Number(install[1]) } };
  const download = /^Total download: (.+)$/.exec(text);
  if (download === null) return undefined;
  if (state.explicit) {
    return step(state, { phase: "download" }, `Downloading packages: ${packages(state.total)}`);
  }
  const bytes = parseSize(download[1]!, 1000);
  const size = bytes === 0 ? "all in the package cache" : download[1];
  return step(
    state,
    { phase: "download", ...(bytes === undefined ? {} : { bytes }) },
    `Downloading packages: ${packages(state.total)}, ${size}`,
  );
}

/** A line of mamba 2 or micromamba. */
export function advanceLibmamba(state: ProgressState, line: string): ProgressStep {
  const text = line.trim();
  if (
    state.phase === "start" &&
    /^(?:Using Flat Repodata|Using Shard|Resolving Environment|Transaction$)/.test(text)
  ) {
    const message = state.explicit ? "Reading the lock file" : "Solving environment";
    return step(state, { phase: "solve" }, message);
  }
  const plan = readPlan(state, text);
  if (plan !== undefined) return plan;
  if (text === "Transaction starting") {
    return step(state, {}, `Installing packages: ${packages(state.total)}`);
  }
  const link = /^Linking (\S+)/.exec(text);
  if (link !== null) {
    const linked = state.linked + 1;
    const known = state.total >= linked;
    return step(
      state,
      { phase: "link", linked },
      `Linking ${link[1]}${known ? ` (${linked}/${state.total})` : ""}`,
      // The line announces the package: it is not yet linked.
      known ? Math.floor((100 * (linked - 1)) / state.total) : undefined,
    );
  }
  if (text === "Transaction finished") {
    return step(state, { phase: "done" }, `Installed ${packages(state.total)}`, 100);
  }
  return { state };
}

/** A line of conda or mamba 1. */
export function advanceConda(state: ProgressState, line: string): ProgressStep {
  const text = line.trim();
  if (/^Collecting package metadata/.test(text) && state.phase === "start") {
    return step(state, { phase: "solve" }, "Reading the channels");
  }
  if (/^Solving environment:/.test(text) || /^Looking for: \[/.test(text)) {
    return step(state, { phase: "solve" }, "Solving environment");
  }
  const plan = readPlan(state, text);
  if (plan !== undefined) return plan;
  if (state.phase === "solve" && /^\S+\s+\S+::\S+$/.test(text)) {
    return { state: { ...state, total: state.total + 1 } };
  }
  const total = state.phase === "solve" ? /^Total:\s+(\S+ ?\S+)$/.exec(text) : null;
  if (total !== null) {
    const bytes = parseSize(total[1]!, 1024);
    return { state: bytes === undefined ? state : { ...state, bytes } };
  }
  if (/^Downloading and Extracting Packages/.test(text)) {
    return step(
      state,
      { phase: "download" },
      `Downloading packages: ${packages(state.total)}`,
    );
  }
  if (/^(?:Preparing|Verifying) transaction:/.test(text) && state.phase !== "link") {
    return step(state, { phase: "link" }, `Installing packages: ${packages(state.total)}`);
  }
  if (/^Executing transaction:/.test(text)) {
    return step(state, { phase: "link" }, `Linking ${packages(state.total)}`);
  }
  if (
    state.phase === "link" && state.linked === 0 && /^# To activate this environment/.test(text)
  ) {
    return step(state, { phase: "done" }, `Installed ${packages(state.total)}`, 100);
  }
  return { state };
}

/** The news in a line of pip; most lines have none. */
export function pipProgress(line: string): Progress | undefined {
  const text = line.trim();
  const collecting = /^Collecting (\S+)/.exec(text);
  const message = collecting !== null
    ? `Collecting ${collecting[1]}`
    : /^(?:Installing collected packages: |Successfully installed |Building wheel for )/.test(text)
    ? text
    : undefined;
  return message === undefined ? undefined : { type: "info", message, phase: "pip" };
}
