/**
 * From the lines managers and pip print to progress.
 *
 * Pure: a state and a line give the next state and perhaps some progress. Phases are `solve`, `download`,
 * `link`, `done` and, for pip, `pip`. Only mamba 2 counts packages while it links; of the others no more is
 * known than which phase they are in.
 */
import type { Progress } from "../progress.ts";

/** What the lines so far have told. */
export interface ProgressState {
  readonly phase: "start" | "solve" | "download" | "link" | "done";
  /** Packages to be installed; 0 as long as that is unknown. */
  readonly total: number;
  /** Packages linked. */
  readonly linked: number;
}

/** Before the first line. */
export const INITIAL_PROGRESS: ProgressState = { phase: "start", total: 0, linked: 0 };

/** The state after a line, and the news in it. */
export interface ProgressStep {
  readonly state: ProgressState;
  readonly progress?: Progress;
}

function step(
  state: ProgressState,
  change: Partial<ProgressState>,
  message: string,
  percent?: number,
): ProgressStep {
  const next = { ...state, ...change };
  return {
    state: next,
    progress: {
      type: "info",
      message,
      phase: next.phase,
      ...(percent === undefined ? {} : { percent }),
    },
  };
}

function packages(count: number): string {
  return count === 1 ? "1 package" : count > 1 ? `${count} packages` : "packages";
}

/** A line of mamba 2 or micromamba. */
export function advanceLibmamba(state: ProgressState, line: string): ProgressStep {
  const text = line.trim();
  if (
    state.phase === "start" &&
    /^(?:Using Flat Repodata|Using Shard|Resolving Environment|Transaction$)/.test(text)
  ) {
    return step(state, { phase: "solve" }, "Solving environment");
  }
  const install = /^Install: (\d+) packages?/.exec(text);
  if (install !== null) return { state: { ...state, total: Number(install[1]) } };
  const download = /^Total download: (.+)$/.exec(text);
  if (download !== null) {
    const size = download[1] === "0 B" ? "all in the package cache" : download[1];
    return step(
      state,
      { phase: "download" },
      `Downloading packages: ${packages(state.total)}, ${size}`,
    );
  }
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

/** A line of conda. */
export function advanceConda(state: ProgressState, line: string): ProgressStep {
  const text = line.trim();
  if (/^Collecting package metadata/.test(text) && state.phase === "start") {
    return step(state, { phase: "solve" }, "Reading the channels");
  }
  if (/^Solving environment:/.test(text)) {
    return step(state, { phase: "solve" }, "Solving environment");
  }
  if (state.phase === "solve" && /^\S+\s+\S+::\S+$/.test(text)) {
    return { state: { ...state, total: state.total + 1 } };
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
