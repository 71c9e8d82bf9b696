/** A real API server on this machine, which says whether it takes what the chart makes: nothing runs. */
import { ControlPlane } from "../stack/control_plane.ts";
import type { Manifest } from "./schema.ts";

/** Plural names, as they stand in addresses. */
const PLURALS: Record<string, string> = { NetworkPolicy: "networkpolicies" };

/** A running API server. */
export class KubeServer implements AsyncDisposable {
  readonly #plane: ControlPlane;

  private constructor(plane: ControlPlane) {
    this.#plane = plane;
  }

  /** Starts one, and waits until it answers. */
  static async start(): Promise<KubeServer> {
    // Manifests name service accounts that are not there, as long as it is only asked about them.
    const apiServerArgs = ["--disable-admission-plugins=ServiceAccount"];
    return new KubeServer(await ControlPlane.start({ apiServerArgs, nodes: [] }));
  }

  /** Creates an object; with `dryRun` only as far as it can be without being kept. Gives what is wrong, or nothing. */
  async create(
    manifest: Manifest,
    { dryRun = true, namespace = "hypha" } = {},
  ): Promise<string | undefined> {
    const { apiVersion, kind } = manifest;
    const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
    const inside = ["Namespace", "CustomResourceDefinition"].includes(kind)
      ? ""
      : `/namespaces/${manifest.metadata.namespace ?? namespace}`;
    const query = `?fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`;
    const path = `${root}${inside}/${plural}${query}`;
    const { status, body } = await this.#plane.request("POST", path, { body: manifest });
    return status === 201
      ? undefined
      : `${kind} ${manifest.metadata.name}: ${status} ${JSON.stringify(body)}`;
  }

  /** Whether a kind is served yet. */
  async serves(path: string): Promise<boolean> {
    return (await this.#plane.request("GET", path)).status === 200;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#plane.stop();
  }
}
