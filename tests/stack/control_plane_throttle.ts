/** Makes the API server refuse the requests of one user as it does under load: 429 with Retry-After. */
import type { ControlPlane } from "./control_plane.ts";
import { until } from "../wait.ts";

const FLOW_CONTROL = "/apis/flowcontrol.apiserver.k8s.io/v1";
const RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
const TARGET = "/api/v1/namespaces/default/configmaps";

/**
 * Leaves the owner of a token no room in the API server, until it is disposed of; it holds for less than a minute, after
 * which the API server gives up the request that takes up all the room. Resolves when it is so, and its end resolves
 * when it is not so any more.
 *
 * It is the real priority and fairness of the API server that refuses. `system:masters` are exempt from it, and so are
 * watches that are open, logs and commands.
 */
export async function throttle(plane: ControlPlane, token: string): Promise<AsyncDisposable> {
  const name = `throttle-${crypto.randomUUID().slice(0, 8)}`;
  const other = await plane.asServiceAccount("default", name);
  const subject = { kind: "ServiceAccount", name, namespace: "default" };
  await plane.create(`${RBAC}/roles`, {
    metadata: { name },
    rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["create"] }],
  });
  await plane.create(`${RBAC}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    subjects: [subject],
  });
  const users = await Promise.all([userOf(plane, token), userOf(plane, other)]);
  const schema = await limit(plane, name, users);
  const isAnswered = async (status: number) => {
    return (await plane.request("GET", TARGET, { token })).status === status;
  };
  await until(async () => {
    const { headers } = await plane.request("GET", TARGET, { token });
    return headers.get("x-kubernetes-pf-flowschema-uid") === schema;
  }, "the limit holds for the owner of the token");
  let held = await hold(plane, other);
  await until(async () => {
    // A question of ours may have been in its way.
    if (held.isOver()) {
      await held.end();
      held = await hold(plane, other);
    }
    return await isAnswered(429);
  }, "requests are refused");
  return {
    async [Symbol.asyncDispose]() {
      await held.end();
      await plane.request("DELETE", `${FLOW_CONTROL}/flowschemas/${name}`);
      await plane.request("DELETE", `${FLOW_CONTROL}/prioritylevelconfigurations/${name}`);
      await until(async () => !await isAnswered(429), "requests are not refused any more");
    },
  };
}

async function userOf(plane: ControlPlane, token: string): Promise<string> {
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const review = await plane.request<{ status: { userInfo: { username: string } } }>(
    "POST",
    path,
    { token, body: {} },
  );
  return review.body.status.userInfo.username;
}

/** Gives these users the least room there is, one request at a time, and no queue. Gives the id of the rule. */
async function limit(plane: ControlPlane, name: string, users: string[]): Promise<string> {
  const limited = {
    nominalConcurrencyShares: 0,
    lendablePercent: 0,
    borrowingLimitPercent: 0,
    limitResponse: { type: "Reject" },
  };
  await plane.create(`${FLOW_CONTROL}/prioritylevelconfigurations`, {
    metadata: { name },
    spec: { type: "Limited", limited },
  });
  const everything = {
    verbs: ["*"],
    apiGroups: ["*"],
    resources: ["*"],
    namespaces: ["*"],
    clusterScope: true,
  };
  const subjects = users.map((user) => ({ kind: "User", user: { name: user } }));
  const schema = {
    metadata: { name, uid: "" },
    spec: {
      priorityLevelConfiguration: { name },
      // Before all others but those that exempt.
      matchingPrecedence: 2,
      rules: [{ subjects, resourceRules: [everything] }],
    },
  };
  return (await plane.create(`${FLOW_CONTROL}/flowschemas`, schema)).metadata.uid;
}

/**
 * More than Go's server reads for a request that has been refused. Of less it waits for all before it answers, so that a
 * request which got no room would look like one that has it.
 */
const LENGTH = 1_000_000;

/** A request that begins and does not go on, until its connection is closed. */
async function hold(plane: ControlPlane, token: string) {
  const { hostname, port } = new URL(plane.url);
  const connection = await Deno.connectTls({ hostname, port: Number(port), caCerts: [plane.ca] });
  const head = [
    `POST ${TARGET} HTTP/1.1`,
    `Host: ${hostname}:${port}`,
    `Authorization: Bearer ${token}`,
    "Content-Type: application/json",
    `Content-Length: ${LENGTH}`,
  ];
  const text = `${head.join("\r\n")}\r\n\r\n{"metadata":{`;
  await connection.write(new TextEncoder().encode(text));
  let isOver = false;
  const over = connection.read(new Uint8Array(1)).catch(() => {}).then(() => isOver = true);
  return {
    isOver: () => isOver,
    async end(): Promise<void> {
      connection.close();
      await over;
    },
  };
}
