import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { parse } from "@std/yaml";
import { stackPaths } from "../stack/stack.ts";
import { LEAST, merged, render } from "./chart.ts";
import { CASES } from "./chart_cases.ts";
import { renderK8s } from "./k8s_chart.ts";
import { K8S_CASES } from "./k8s_chart_cases.ts";
import { KubeServer } from "./kube.ts";
import type { Manifest } from "./schema.ts";
import { testWith, tool } from "./support.ts";

/** What there is in a cluster before the charts come. */
async function prepare(server: KubeServer): Promise<void> {
  for (const name of ["hypha", "monitoring", "jobs"]) {
    // The strictest standard: pods that do not fit it are refused.
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
    assertEquals(await server.create(namespace, { dryRun: false }), undefined);
  }
  const file = join(stackPaths.tools, "kube", "servicemonitors.yaml");
  const definition = parse(await Deno.readTextFile(file)) as Manifest;
  assertEquals(await server.create(definition, { dryRun: false }), undefined);
  while (!await server.serves("/apis/monitoring.coreos.com/v1/servicemonitors")) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The pods that a workload would make, which the API server looks at only when they come. */
function podOf(manifest: Manifest): Manifest | undefined {
  const template = manifest.spec?.template;
  if (template === undefined) return undefined;
  const volumes = [
    ...template.spec.volumes,
    ...(manifest.spec.volumeClaimTemplates ?? []).map((claim: Manifest) => ({
      name: claim.metadata.name,
      persistentVolumeClaim: { claimName: `${claim.metadata.name}-0` },
    })),
  ];
  const metadata = { ...template.metadata, name: "pod", namespace: manifest.metadata.namespace };
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { ...template.spec, volumes } };
}

testWith(
  "a real API server takes what the charts make and the plain manifests, also as restricted pods",
  "control-plane",
  "kube",
  async () => {
    await using server = await KubeServer.start();
    await prepare(server);
    const directory = join(stackPaths.root, "deploy", "kubernetes");
    const refused: string[] = [];
    const check = async (name: string, manifest: Manifest) => {
      const wrong = await server.create(manifest);
      if (wrong !== undefined) refused.push(`${name}: ${wrong}`);
    };
    for await (const { name } of Deno.readDir(directory)) {
      if (name === "kustomization.yaml") continue;
      const manifest = parse(await Deno.readTextFile(join(directory, name))) as Manifest;
      await check(name, manifest);
      const pod = podOf(manifest);
      if (pod) await check(`${name} (pod)`, pod);
    }
    const helm = tool("helm");
    assert(helm !== undefined, "run scripts/setup.sh packages as well");
    const checkAll = async (name: string, manifests: readonly Manifest[]) => {
      for (const manifest of manifests) {
        await check(name, manifest);
        const pod = podOf(manifest);
        // What this case adds to the pod is not what the chart is asked about.
        if (pod && name !== "everything of a pod") await check(`${name} (pod)`, pod);
      }
    };
    for (const { name, values } of CASES) {
      await checkAll(name, await render(helm, merged(LEAST, values)));
    }
    for (const { name, values } of K8S_CASES) {
      await checkAll(name, (await renderK8s(values)).manifests);
    }
    assertEquals(refused, []);

    // It does look.
    const worker = parse(await Deno.readTextFile(join(directory, "worker.yaml"))) as Manifest;
    const bad = structuredClone(worker);
    bad.spec.template.spec.terminationGracePeriod = 30;
    assertStringIncludes(await server.create(bad) ?? "", "unknown field");
    const root = podOf(worker)!;
    root.spec.securityContext.runAsUser = 0;
    root.spec.securityContext.runAsNonRoot = false;
    assertStringIncludes(await server.create(root) ?? "", "violates PodSecurity");
  },
);
