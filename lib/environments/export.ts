/** Environments in forms that they can be built from again. */
import { WorkerError } from "../errors.ts";
import type { EnvironmentMeta } from "./meta.ts";

/**
 * `yaml`: an environment.yml with exact versions, solved anew on any machine of the same platform. `explicit`:
 * an `@EXPLICIT` list with hashes, built without a solver. `json`: everything that is known.
 */
export type ExportFormat = "yaml" | "explicit" | "json";

/** All formats. */
export const EXPORT_FORMATS: readonly ExportFormat[] = ["yaml", "explicit", "json"];

/**
 * An environment as text in a format.
 *
 * @throws WorkerError `environment_failed` when it is not known where all packages came from
 */
export function exportEnvironment(meta: EnvironmentMeta, format: ExportFormat): string {
  switch (format) {
    case "yaml":
      return yaml(meta);
    case "explicit":
      return explicit(meta);
    case "json":
      return JSON.stringify(meta, null, 2) + "\n";
  }
}

/** Names and versions as they are, everything else quoted: what JSON quotes YAML reads. */
function scalar(text: string): string {
  return /^[A-Za-z_][\w.=+!-]*$/.test(text) ? text : JSON.stringify(text);
}

function yaml({ spec, packages, pip }: EnvironmentMeta): string {
  // One built from a lock file has no channels but those its packages came from.
  const channels = spec.channels.length > 0 ? spec.channels : packages.flatMap(({ url }) => {
    const channel = url?.replace(/\/[^/]+\/[^/]+$/, "");
    return channel === undefined ? [] : [channel];
  });
  const lines = ["channels:", ...[...new Set(channels)].map((one) => `  - ${scalar(one)}`)];
  lines.push("dependencies:");
  for (const { name, version, build } of packages) {
    lines.push(`  - ${scalar(`${name}=${version}=${build}`)}`);
  }
  if (pip.length > 0) {
    const entries = [...optionLines(spec.pipOptions ?? []), ...pip];
    lines.push("  - pip:", ...entries.map((entry) => `      - ${scalar(entry)}`));
  }
  return lines.join("\n") + "\n";
}

/** Options as lines of a requirements file: each with its value. */
export function optionLines(options: readonly string[]): string[] {
  const lines: string[] = [];
  for (const part of options) {
    if (part.startsWith("-") || lines.length === 0) lines.push(part);
    else lines.push(`${lines.pop()} ${part}`);
  }
  return lines;
}

/** The way conda-lock writes them: requirements of pip are comments for managers. */
function explicit({ key, platform, created, packages, pip }: EnvironmentMeta): string {
  const lines = [
    `# Environment ${key}, built ${created} for ${platform}.`,
    "# To make it again: conda create --prefix DIRECTORY --file THIS_FILE",
    "@EXPLICIT",
  ];
  for (const { name, url, md5, sha256 } of packages) {
    if (url === undefined) {
      throw new WorkerError(
        "environment_failed",
        `Cannot export the environment ${key}: it is not known where ${name} came from`,
        { suggestion: "Export it as yaml." },
      );
    }
    // Only newer managers know sha256 here.
    const hash = md5 ?? (sha256 === undefined ? undefined : `sha256:${sha256}`);
    lines.push(hash === undefined ? url : `${url}#${hash}`);
  }
  lines.push(...pip.map((requirement) => `# pip ${requirement}`));
  return lines.join("\n") + "\n";
}
