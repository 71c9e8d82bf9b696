/** Where an artifact is: its addresses on a Hypha server. */
import { WorkerError } from "../errors.ts";

/** Which artifact is meant. */
export interface ArtifactName {
  /** Address of the Hypha server, `http` or `https`. */
  serverUrl: string;
  /** Workspace of the artifact. */
  workspace: string;
  /** Alias (or UUID) of the artifact, without workspace. */
  alias: string;
}

/** Name of an artifact in messages. */
export function artifactTitle({ workspace, alias }: ArtifactName): string {
  return `artifact ${workspace}/${alias}`;
}

/** Address of the server, without a `/` at its end. @throws {WorkerError} `staging_failed` for an unusable one. */
export function serverRoot(name: ArtifactName): string {
  const failure = (reason: string) =>
    new WorkerError("staging_failed", `Cannot reach ${artifactTitle(name)}: ${reason}`, {
      context: { source: artifactTitle(name) },
    });
  let server: URL;
  try {
    server = new URL(name.serverUrl);
  } catch {
    throw failure("the server's address is not a URL");
  }
  if (server.protocol !== "http:" && server.protocol !== "https:") {
    throw failure("the server's address is neither http nor https");
  }
  server.search = "";
  server.hash = "";
  return server.href.replace(/\/+$/, "");
}

/** Address below which everything of an artifact is; ends in `/`. @throws as {@linkcode serverRoot} */
export function artifactRoot(name: ArtifactName): string {
  const [workspace, alias] = [name.workspace, name.alias].map(encodeURIComponent);
  return `${serverRoot(name)}/${workspace}/artifacts/${alias}/`;
}

/** Address of a file of an artifact. Each part of the path is percent-encoded, so that any name is one. */
export function fileAddress(root: string, path: string, query: Record<string, string>): URL {
  const url = new URL(`${root}files/${path.split("/").map(encodeURIComponent).join("/")}`);
  url.search = new URLSearchParams(query).toString();
  return url;
}
