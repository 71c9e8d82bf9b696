/** Manifests made up by chance, good ones, bad ones and hostile ones; the same for the same seed. */
import { type Field, FIELDS } from "../../../lib/kubernetes/jobs/fields.ts";
import { JOB_TYPES } from "../../../lib/kubernetes/jobs/types.ts";

/** Numbers from 0 up to 1 (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const secret = { secret: "tenant-keys", key: "k" };

/** Values that a field may well have, besides its example. */
const GOOD: Readonly<Record<string, readonly unknown[]>> = {
  env: [{ A: "x", B: 1, C: true, D: null }, { A: "$(HYPHA_TOKEN)" }, { K: secret }, {}],
  image: [
    "python:3.11",
    "ghcr.io/acme/tool:1.2",
    `a@sha256:${"0".repeat(64)}`,
    "localhost:5000/a:b",
  ],
  resources: [
    { limits: { cpu: 2, memory: "2Gi" } },
    { requests: { cpu: "100m" } },
    { limits: { "amd.com/gpu": 1 } },
    { limits: { cpu: "4" }, requests: { cpu: "0.5", "ephemeral-storage": "1Gi" } },
    {},
  ],
  gpu: [0, 1, { count: 1 }],
  volumes: [
    [{ mount_path: "/a", empty_dir: true }, { mount_path: "/b", empty_dir: { medium: "Memory" } }],
    [{ mount_path: "/s", secret: "tenant-keys", files: [{ key: "k", path: "f" }] }],
    [{ mount_path: "/m", config_map: "tenant-conf", read_only: true }],
    [{ mount_path: "/d", claim: "tenant-data", sub_path: "a/b" }],
    [],
  ],
  service_account: ["tenant-sa"],
  image_pull_secrets: [["tenant-keys"], []],
  secret_name: ["tenant-keys", "deno-claude-code-config"],
  workspace: ["ws-tenant"],
  cache: [{ claim: "tenant-data" }, { empty_dir: true }],
  wait_for_service: [true, false, "svc", "client:svc"],
  tolerations: [[{ key: "a" }, { key: "b", value: "c", operator: "Equal" }]],
  node_selector: [{ "kubernetes.io/arch": "amd64" }, {}],
};

/** What somebody writes who wants more than is his. */
const HOSTILE: readonly unknown[] = [
  true,
  "privileged",
  "hostPath",
  "kube-system",
  "hypha-secrets",
  "deno-claude-code-config",
  "hypha-job-other-0123456789",
  "$(ANTHROPIC_API_KEY)",
  "../../etc/shadow",
  "/var/run/secrets/kubernetes.io/serviceaccount",
  "a\0b",
  "\ud800",
  "a".repeat(100_000),
  1e308,
  -1,
  NaN,
  [],
  {},
  null,
  ["$(HYPHA_TOKEN)"],
  { privileged: true },
  { hostPath: { path: "/" } },
  { secretRef: { name: "hypha-secrets" } },
  { name: "x", secret: "hypha-secrets", mount_path: "/x" },
  { secret: "hypha-secrets", key: "HYPHA_AGENTS_TOKEN" },
  { valueFrom: { secretKeyRef: { name: "hypha-secrets", key: "HYPHA_AGENTS_TOKEN" } } },
  { A: { secret: "hypha-secrets", key: "HYPHA_AGENTS_TOKEN" } },
  { A: { secret: "hypha-job-other-0123456789", key: "HYPHA_TOKEN" } },
  [{ mount_path: "/a", host_path: "/" }],
  [{ mount_path: "/a", hostPath: { path: "/" } }],
  [{ mount_path: "/a", secret: "hypha-secrets" }],
  [{ mount_path: "/a", claim: "others-data" }],
  [{ mount_path: "/a", empty_dir: true, projected: { sources: [{ serviceAccountToken: {} }] } }],
  [{ mount_path: "/var/run/secrets/kubernetes.io/serviceaccount", empty_dir: true }],
  [{ operator: "Exists" }],
  [{ key: "node-role.kubernetes.io/control-plane", operator: "Exists" }],
  { limits: { cpu: "1e18", memory: "8E" } },
  { limits: { cpu: 1000 }, requests: { memory: "1Pi" } },
  { claim: "others-data" },
  { "app.kubernetes.io/managed-by": "x" },
  { "hypha.amun.ai/session": "x" },
  JSON.parse('{"__proto__": {"privileged": true}}'),
  Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`V${i}`, "x"])),
  Array(5000).fill("x"),
];

/** Names that no manifest of this worker has. */
const FOREIGN: readonly string[] = [
  "namespace",
  "hostNetwork",
  "hostPID",
  "host_ipc",
  "envFrom",
  "env_from",
  "securityContext",
  "security_context",
  "capabilities",
  "initContainers",
  "spec",
  "template",
  "metadata",
  "podSpec",
  "serviceAccountName",
  "automountServiceAccountToken",
  "volumeMounts",
  "nodeName",
  "priorityClassName",
  "runtimeClassName",
  "lifecycle",
  "constructor",
  "__proto__",
  "x".repeat(10_000),
];

/** A manifest. About one in three is a good one. */
export function randomManifest(random: () => number): unknown {
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)]!;
  const type = pick(JOB_TYPES);
  const entries: [string, unknown][] = [["type", type]];
  for (const [name, field] of Object.entries<Field>(FIELDS)) {
    const required = field.required?.includes(type) === true;
    if (name === "type" || !field.types.includes(type) || !(required || random() < 0.3)) continue;
    // Examples may name what the operator has not allowed.
    const good = GOOD[name] ?? [field.example];
    entries.push([name, pick(good)]);
  }
  const spoilt = random() < 0.33 ? 0 : 1 + Math.floor(random() * 2);
  for (let i = 0; i < spoilt; i++) {
    const value = pick(HOSTILE);
    const kind = random();
    if (kind < 0.55) entries.push([pick(Object.keys(FIELDS)), value]);
    else if (kind < 0.8) entries.push([pick(FOREIGN), value]);
    else {
      // Deep within something that is there.
      const [name, whole] = pick(entries);
      entries.push([name, within(whole, value, pick)]);
    }
  }
  // Own entries, also of __proto__.
  return Object.fromEntries(entries);
}

/** A value with something else in one place. */
function within(
  whole: unknown,
  value: unknown,
  pick: <T>(from: readonly T[]) => T,
): unknown {
  if (Array.isArray(whole)) {
    if (whole.length === 0) return [value];
    const at = pick([...whole.keys()]);
    return whole.map((entry, index) => index === at ? within(entry, value, pick) : entry);
  }
  if (typeof whole !== "object" || whole === null) return value;
  return { ...whole, [pick([...Object.keys(whole), ...FOREIGN])]: value };
}
