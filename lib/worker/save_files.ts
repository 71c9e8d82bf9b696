/** What an app wants to keep of a session: `files_to_save` of its manifest, uploaded when the session ends. */
import { messageOf, WorkerError } from "../errors.ts";
import type { ArtifactWriter } from "../staging/artifact_writer.ts";
import { uploadFiles } from "../staging/upload.ts";
import type { SessionFiles } from "./session_files.ts";
import type { SessionLog } from "./session_log.ts";
import type { StartRequest } from "./start_request.ts";

/** Longest time files are saved when a session ends (milliseconds). */
const SAVE_TIME = 10 * 60_000;

/** The part of a session that is saved. */
export interface Saved {
  readonly id: string;
  readonly request: Pick<StartRequest, "save" | "writer">;
  readonly files: SessionFiles;
  readonly log: SessionLog;
}

/** Opens an artifact for uploads of a session. @throws {WorkerError} `upload_failed` when none is known */
export function writerOf(
  session: Pick<Saved, "id" | "request">,
  artifactId?: string,
): ArtifactWriter {
  const writer = session.request.writer?.(artifactId);
  if (writer !== undefined) return writer;
  throw new WorkerError(
    "upload_failed",
    `Cannot upload files of session ${session.id}: it has no artifact to upload them to`,
    { suggestion: "Give artifact_id, or start the session with artifact_id or app_id in config." },
  );
}

/**
 * Uploads the files that the app wants to keep. What goes wrong is in the session's log, and never keeps the session
 * from ending.
 */
export async function saveFiles(session: Saved, time = SAVE_TIME): Promise<void> {
  const { log } = session;
  const entries = session.request.save ?? [];
  if (entries.length === 0) return;
  const late = new WorkerError("upload_failed", `it takes longer than ${time / 1000} s`);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(late), time);
  try {
    const result = await uploadFiles(entries, session.files, writerOf(session), {
      signal: stop.signal,
      missing: "skip",
      onProgress: ({ type, message }) => log.add(type === "warning" ? "info" : "progress", message),
    });
    const files = result.files.length === 1 ? "1 file" : `${result.files.length} files`;
    log.add("info", `Saved ${files} to artifact ${result.artifact_id}`);
  } catch (error) {
    log.add("error", `Cannot save the files of the session: ${messageOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}
