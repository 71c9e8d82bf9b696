/** Service accounts with just the rights that a test gives them. */
import { neededRights } from "../../lib/kubernetes/worker/access_check.ts";
import { type GivenRight, renderRole, rightsOf } from "../packages/k8s_chart.ts";
import { tool } from "../packages/support.ts";
import type { ControlPlane } from "../stack/control_plane.ts";

const RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces";

/** The rights that the worker says it needs. */
export function wantedRights(): GivenRight[] {
  return neededRights(true).map(({ group, resource, subresource, verb }) => ({
    group,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    verb,
  }));
}

/** The rights that the chart gives; those that the worker says it needs where there is no helm. */
export async function chartRights(): Promise<GivenRight[]> {
  return tool("helm") === undefined ? wantedRights() : rightsOf(await renderRole());
}

/** Makes a service account that has these rights in its namespace, and gives a token of it. */
export async function accountWith(
  plane: ControlPlane,
  namespace: string,
  name: string,
  rights: readonly GivenRight[],
): Promise<string> {
  const token = await plane.asServiceAccount(namespace, name);
  await plane.create(`${RBAC}/${namespace}/roles`, {
    metadata: { name },
    rules: rights.map(({ group, resource, verb }) => ({
      apiGroups: [group],
      resources: [resource],
      verbs: [verb],
    })),
  });
  await plane.create(`${RBAC}/${namespace}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    subjects: [{ kind: "ServiceAccount", name, namespace }],
  });
  return token;
}
