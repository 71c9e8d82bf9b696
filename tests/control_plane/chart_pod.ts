/** The worker as the chart runs it: its pod, with its service account, in the cluster whose jobs it starts. */
import { assertEquals } from "@std/assert";
import type { Pod } from "../../lib/kubernetes/api/types.ts";
import { only } from "../packages/chart.ts";
import { renderK8s } from "../packages/k8s_chart.ts";
import type { Manifest } from "../packages/schema.ts";
import type { TestImage } from "../stack/control_plane.ts";
import { freePort } from "../stack/hypha.ts";
import { type ClusterStage, programCommand, programVariables } from "./cluster_stage.ts";

/** The image that {@linkcode createChartPod} names. */
export const CHART_IMAGE = "ghcr.io/amun-ai/hypha-conda-worker:chart";

const ACCOUNT = "$TEST_KUBELET_ROOT/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * The program as the image of the chart. What is / in a container is a directory here, which the program cannot know;
 * so it is told where the account of the pod and its token for the server are.
 */
export async function chartImage(): Promise<TestImage> {
  const configuration = JSON.stringify({
    clusters: [{
      name: "own",
      cluster: {
        server: "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT",
        "certificate-authority": `${ACCOUNT}/ca.crt`,
      },
    }],
    users: [{ name: "own", user: { tokenFile: `${ACCOUNT}/token` } }],
    contexts: [{ name: "own", context: { cluster: "own", user: "own" } }],
    "current-context": "own",
  }).replaceAll('"', '\\"');
  const script = [
    `printf %s "${configuration}" >"$TEST_KUBELET_ROOT/kubeconfig"`,
    `export KUBECONFIG="$TEST_KUBELET_ROOT/kubeconfig"`,
    `export HYPHA_TOKEN_FILE="$TEST_KUBELET_ROOT$HYPHA_TOKEN_FILE"`,
    `exec ${await programCommand()} "$@"`,
  ].join("; ");
  return { command: ["sh", "-c", script, "hypha-conda-worker"], env: programVariables() };
}

/** Installs the chart, with a pod in place of its Deployment, for which there is no controller. Gives the pod's name. */
export async function createChartPod(stage: ClusterStage, serviceId: string): Promise<string> {
  const { manifests } = await renderK8s({
    hypha: { serverUrl: stage.hypha.url, workspace: "ws-user-user-1", serviceId },
    image: { tag: "chart" },
    metrics: { port: freePort() },
  });
  const paths: Record<string, string> = {
    ServiceAccount: "/api/v1/namespaces/hypha/serviceaccounts",
    Role: "/apis/rbac.authorization.k8s.io/v1/namespaces/hypha/roles",
    RoleBinding: "/apis/rbac.authorization.k8s.io/v1/namespaces/hypha/rolebindings",
  };
  for (const [kind, path] of Object.entries(paths)) {
    await stage.plane.create<Manifest>(path, only(manifests, kind));
  }
  const { template } = only(manifests, "Deployment").spec;
  assertEquals(template.spec.containers[0].image, CHART_IMAGE);
  await stage.plane.create<Pod>("/api/v1/namespaces/hypha/pods", {
    ...template,
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...template.metadata, name: serviceId },
  });
  return serviceId;
}
