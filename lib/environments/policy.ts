/**
 * What of this machine manifests may use: channels by file URL, and environments that exist already.
 *
 * Both are the operator's choice. Environments because what starts sessions runs in them with the worker's own
 * rights, so whoever may name a directory of his own making could run anything with them; file channels because
 * they make readable whatever the worker may read.
 */
import { isAbsolute, join } from "@std/path";
import { WorkerError } from "../errors.ts";
import { localPath } from "./channel.ts";
import { isEnvironmentName } from "./existing.ts";
import { parseMatchSpec } from "./match_spec.ts";
import type { EnvironmentSpec } from "./spec.ts";

/** What specs may use of this machine. */
export interface SpecPolicy {
  /** Directories: channels and packages in them, or below, may be used. */
  readonly fileChannels: "all" | readonly string[];
  /** Names and absolute paths of environments that may be used, each as manifests must write it. */
  readonly environments: "all" | readonly string[];
}

/** Nothing of this machine: what holds for manifests of others when the operator says nothing. */
export const NOTHING_LOCAL: SpecPolicy = { fileChannels: [], environments: [] };

/** Everything of this machine: for the operator's own manifests. */
export const EVERYTHING_LOCAL: SpecPolicy = { fileChannels: "all", environments: "all" };

/**
 * Checks that a spec uses nothing of this machine that it may not.
 *
 * @throws WorkerError `permission_denied` that names the entry
 */
export function checkSpec(spec: EnvironmentSpec, policy: SpecPolicy): void {
  const { existing } = spec;
  if (existing !== undefined && policy.environments !== "all") {
    const label = "name" in existing ? existing.name : existing.prefix;
    if (!policy.environments.includes(label)) {
      throw refusal(`the existing environment ${label}`, `--allow-environment ${label}`);
    }
  }
  if (policy.fileChannels === "all") return;
  const origins = [
    ...spec.channels,
    ...spec.packages.map((text) => parseMatchSpec(text).origin ?? ""),
    ...spec.explicit ?? [],
  ];
  for (const origin of origins) {
    const path = localPath(origin);
    if (path === undefined) continue;
    const allowed = policy.fileChannels.some((directory) =>
      path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`)
    );
    if (!allowed) throw refusal(`the local channel ${origin}`, "--allow-file-channels DIRECTORY");
  }
}

function refusal(what: string, option: string): WorkerError {
  return new WorkerError(
    "permission_denied",
    `Cannot use ${what}: the operator of this worker has not allowed it`,
    { suggestion: `Ask the operator to start the worker with ${option}.` },
  );
}

/**
 * Reads the operator's lists, in which commas separate the entries.
 *
 * @throws WorkerError `usage` that names the entry
 */
export function parsePolicy(
  fileChannels: string | undefined,
  environments: string | undefined,
): SpecPolicy {
  const split = (text: string | undefined) =>
    (text ?? "").split(",").map((entry) => entry.trim()).filter((entry) => entry !== "")
      .map((entry) => entry.replace(/(?<=.)\/+$/, ""));
  const plain = (path: string) => isAbsolute(path) && path === join(path);
  const directories = split(fileChannels);
  const names = split(environments);
  for (const directory of directories) {
    if (!plain(directory)) {
      throw new WorkerError(
        "usage",
        `--allow-file-channels takes absolute paths of directories, received ${directory}`,
      );
    }
  }
  for (const name of names) {
    if (!plain(name) && !isEnvironmentName(name)) {
      throw new WorkerError(
        "usage",
        `--allow-environment takes names and absolute paths of environments, received ${name}`,
      );
    }
  }
  return { fileChannels: directories, environments: names };
}
