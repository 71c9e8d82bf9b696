/** Progress of long work (starting a session, building an environment), as Hypha's callbacks carry it. */

/** One message of progress. Shape of the reference worker's `progress_callback`, with extra keys. */
export interface Progress {
  /** What kind of news it is. */
  type: "info" | "success" | "warning" | "error";
  /** The news, for a person. */
  message: string;
  /** Machine-readable part of the work, for example `solve`, `download`, `link`, `pip`, `stage`. */
  phase?: string;
  /** How far the phase is, 0 to 100, when it is known. */
  percent?: number;
  /** Packages dealt with in this phase, of how many. */
  packages?: { done: number; total: number };
  /** Bytes dealt with in this phase, of how many. */
  bytes?: { done: number; total: number };
}

/** Receives progress. Must not throw and must not block. */
export type ProgressSink = (progress: Progress) => void;
