/** What tests against the real control plane share: pods and jobs of one container, and waiting for them. */
import type { Job, Pod } from "../../lib/kubernetes/api/types.ts";
import type { ControlPlane } from "../stack/control_plane.ts";
import { waitFor } from "../stack/control_plane_wait.ts";

type PodSpec = NonNullable<Pod["spec"]>;
type Container = PodSpec["containers"][number];

/** A container that runs a shell script, unless it is told otherwise. */
export function container(script: string, more: Partial<Container> = {}): Container {
  return { name: "main", image: "example.org/image:1", command: ["sh", "-c", script], ...more };
}

/** Makes pods and jobs in one namespace, and waits for them. */
export class Workloads {
  constructor(readonly plane: ControlPlane, readonly namespace: string) {}

  /** Where pods are. */
  get pods(): string {
    return `/api/v1/namespaces/${this.namespace}/pods`;
  }

  /** Where jobs are. */
  get jobs(): string {
    return `/apis/batch/v1/namespaces/${this.namespace}/jobs`;
  }

  /** Makes a pod that is not started again. */
  async pod(name: string, main: Container, more: Partial<PodSpec> = {}): Promise<Pod> {
    const spec = { restartPolicy: "Never", terminationGracePeriodSeconds: 5, containers: [main] };
    return await this.plane.create<Pod>(this.pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: { ...spec, ...more },
    } as Pod);
  }

  /** Makes a job whose pods are not started again. */
  async job(
    name: string,
    main: Container,
    more: Partial<NonNullable<Job["spec"]>> = {},
  ): Promise<Job> {
    const template = { spec: { restartPolicy: "Never", containers: [main] } };
    return await this.plane.create<Job>(this.jobs, {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name },
      spec: { backoffLimit: 0, template, ...more },
    } as Job);
  }

  /** Resolves with a pod as soon as it is so; with `undefined` it has gone. */
  async podIs(name: string, isSo: (pod: Pod | undefined) => boolean): Promise<Pod | undefined> {
    return await waitFor<Pod>(this.plane, this.pods, name, isSo);
  }

  /** Resolves with a pod as soon as it has one of these phases. */
  async podHas(name: string, ...phases: string[]): Promise<Pod> {
    return (await this.podIs(name, (pod) => phases.includes(pod?.status?.phase ?? "")))!;
  }

  /** Resolves with the pod of a job that is there. */
  async podOf(job: string): Promise<Pod> {
    const query = `${this.pods}?labelSelector=batch.kubernetes.io/job-name=${job}`;
    return (await this.plane.request<{ items: Pod[] }>("GET", query)).body.items[0]!;
  }

  /** What a pod has written. */
  async log(pod: string, query = ""): Promise<string> {
    const path = `${this.pods}/${pod}/log${query}`;
    // One that is followed ends with its container.
    return (await this.plane.request<string>("GET", path, { timeout: 120_000 })).body;
  }

  /** Why the container of a pod waits, or ended. */
  reason(pod: Pod | undefined): string | undefined {
    const state = pod?.status?.containerStatuses?.[0]?.state;
    return state?.waiting?.reason ?? state?.terminated?.reason;
  }
}

/** A namespace of a cluster, in which objects are made. */
interface Place {
  readonly plane: ControlPlane;
  readonly namespace: string;
}

/** Makes a secret. */
export async function makeSecret(
  { plane, namespace }: Place,
  name: string,
  stringData: Record<string, string>,
): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/secrets`;
  await plane.create(path, { metadata: { name }, stringData });
}

/** Makes a claim that has its volume, in which the file `greeting` greets. */
export async function makeClaim({ plane, namespace }: Place, name: string): Promise<void> {
  const spec = {
    accessModes: ["ReadWriteMany"],
    storageClassName: "",
    capacity: { storage: "1Gi" },
  };
  // What the controller of volumes does in a cluster that has one.
  const annotations = { "pv.kubernetes.io/bind-completed": "yes" };
  const claims = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
  const { capacity: requests, ...same } = spec;
  const claim = await plane.create(claims, {
    metadata: { name, annotations, uid: "" },
    spec: { ...same, volumeName: name, resources: { requests } },
  });
  await plane.create("/api/v1/persistentvolumes", {
    metadata: { name },
    spec: {
      ...spec,
      hostPath: { path: "/nowhere" },
      claimRef: { namespace, name, uid: claim.metadata.uid },
    },
  });
  const directory = `${plane.directory}/kubelet/claims/${namespace}/${name}`;
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/greeting`, "hello from the claim");
}
