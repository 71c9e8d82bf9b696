/** What manifests may not say, and what they are told. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { JobRequest } from "../../../lib/kubernetes/jobs/types.ts";
import { build, containerOf, podOf, refusal } from "./support.ts";

const image = "python:3.11";

/** Manifests, with the place and the words that the error must have. */
const BAD: [manifest: unknown, place: string, words: string][] = [
  [undefined, "manifest", "a mapping"],
  [[], "manifest", "a mapping"],
  ["text", "manifest", "a mapping"],
  [{}, "manifest.image", "is missing"],
  [{ image: null }, "manifest.image", "is missing"],
  [{ type: "application", image }, "manifest.type", "does not run"],
  [{ type: "__proto__", image }, "manifest.type", "does not run"],
  [{ image: 5 }, "manifest.image", "must contain `:`"],
  [{ image: "python" }, "manifest.image", "must contain `:`"],
  [{ image: "registry:5000/python" }, "manifest.image", "must contain `:`"],
  [{ image: "python:" }, "manifest.image", "must contain `:`"],
  [{ image: "Python:3" }, "manifest.image", "must contain `:`"],
  [{ image: "a:1 --privileged" }, "manifest.image", "must contain `:`"],
  [{ image: "a:1@sha256:12" }, "manifest.image", "must contain `:`"],
  [{ image, command: "python -c 1" }, "manifest.command", "a list"],
  [{ image, command: [1] }, "manifest.command[0]", "text"],
  [{ image, command: ["a\0b"] }, "manifest.command[0]", "text without null characters"],
  [{ image, command: Array(257).fill("a") }, "manifest.command", "256"],
  [{ image, args: ["a".repeat(40_000), "a".repeat(40_000)] }, "manifest.args", "65536"],
  [{ image, env: "A=1" }, "manifest.env", "a mapping"],
  [{ image, env: { "A B": 1 } }, "manifest.env.A B", "name of a variable"],
  [{ image, env: { A: [] } }, "manifest.env.A", "text"],
  [{ image, env: { A: "\0" } }, "manifest.env.A", "text"],
  [{ image, env: { A: "\ud800" } }, "manifest.env.A", "text"],
  [{ image, env: { A: "a".repeat(33_000) } }, "manifest.env.A", "32768"],
  [{ image, env: { A: NaN } }, "manifest.env.A", "number"],
  [{ image, env: { A: { secret: "s" } } }, "manifest.env.A", "{secret, key}"],
  [{ image, env: { A: { secret: "s", key: "../k" } } }, "manifest.env.A.key", "a key"],
  [{ image, env: { A: { secret: "s", key: "k", optional: true } } }, "manifest.env.A", "{secret"],
  [{ image, working_dir: "data" }, "manifest.working_dir", "absolute"],
  [{ image, working_dir: "/a/../b" }, "manifest.working_dir", "absolute"],
  [{ image, resources: { limit: {} } }, "manifest.resources.limit", "is not known"],
  [{ image, resources: { limits: { cpus: 1 } } }, "manifest.resources.limits.cpus", "cpu, memory"],
  [{ image, resources: { limits: { cpu: -1 } } }, "manifest.resources.limits.cpu", "an amount"],
  [{ image, resources: { limits: { cpu: "1 m" } } }, "manifest.resources.limits.cpu", "an amount"],
  [{ image, resources: { limits: { cpu: "1e99" } } }, "manifest.resources.limits.cpu", "an amount"],
  [{ image, resources: { limits: { memory: "512m" } } }, "manifest.resources.limits.memory", "1Mi"],
  [
    { image, resources: { limits: { "a.b/c": "0.5" } } },
    "manifest.resources.limits.a.b/c",
    "whole",
  ],
  [
    { image, resources: { limits: { "x.kubernetes.io/c": "1" } } },
    "manifest.resources.limits.x.kubernetes.io/c",
    "device",
  ],
  [
    { image, resources: { requests: { cpu: 2 }, limits: { cpu: 1 } } },
    "manifest.resources.requests.cpu",
    "at most its limit",
  ],
  [{ image, gpu: 0.5 }, "manifest.gpu", "whole number"],
  [{ image, gpu: { resource: "cpu", count: 1 } }, "manifest.gpu.resource", "device"],
  [{ image, gpu: 1, resources: { limits: { "nvidia.com/gpu": 1 } } }, "manifest.gpu", "left out"],
  [{ image, volumes: {} }, "manifest.volumes", "a list"],
  [{ image, volumes: [{ empty_dir: true }] }, "manifest.volumes[0].mount_path", "is missing"],
  [{ image, volumes: [{ mount_path: "/a" }] }, "manifest.volumes[0]", "exactly one"],
  [
    { image, volumes: [{ mount_path: "/a", empty_dir: true, hostPath: "/" }] },
    "manifest.volumes[0].hostPath",
    "is not known",
  ],
  [
    { image, volumes: [{ mount_path: "/a", empty_dir: true, files: [] }] },
    "manifest.volumes[0].files",
    "only for",
  ],
  [
    { image, volumes: [{ mount_path: "/a", empty_dir: true, size_limit: "5" }] },
    "manifest.volumes[0].size_limit",
    "1Mi",
  ],
  [
    { image, volumes: [{ name: "A", mount_path: "/a", empty_dir: true }] },
    "manifest.volumes[0].name",
    "63",
  ],
  [
    {
      image,
      volumes: [{ mount_path: "/a", empty_dir: true }, { mount_path: "/a", empty_dir: true }],
    },
    "manifest.volumes[1].mount_path",
    "another",
  ],
  ...[
    "/",
    "/proc",
    "/sys/fs",
    "/dev",
    "/run/secrets/kubernetes.io/serviceaccount",
    "/a:b",
    "a",
    "/a/",
  ]
    .map((path): [unknown, string, string] => [
      { image, volumes: [{ mount_path: path, empty_dir: true }] },
      "manifest.volumes[0].mount_path",
      "must be",
    ]),
  [
    { image, volumes: [{ mount_path: "/a", empty_dir: true, sub_path: "../x" }] },
    "manifest.volumes[0].sub_path",
    "relative",
  ],
  [{ image, restart_policy: "Always" }, "manifest.restart_policy", "Never, OnFailure"],
  [{ image, backoff_limit: -1 }, "manifest.backoff_limit", "from 0"],
  [{ image, ttl: "1h" }, "manifest.ttl", "seconds"],
  [{ image, ttl: 1, ttl_seconds_after_finished: 1 }, "manifest.ttl", "says again"],
  [{ image, timeout: 0 }, "manifest.timeout", "seconds"],
  [{ image, timeout: Infinity }, "manifest.timeout", "seconds"],
  [{ image, node_selector: { "a/b/c": "x" } }, "manifest.node_selector.a/b/c", "a key"],
  [{ image, node_selector: { a: "x y" } }, "manifest.node_selector.a", "letters"],
  [{ image, tolerations: [{ operator: "Exists" }] }, "manifest.tolerations[0].key", "is missing"],
  [
    { image, tolerations: [{ key: "a", effect: "Any" }] },
    "manifest.tolerations[0].effect",
    "one of",
  ],
  [
    { image, tolerations: [{ key: "a", toleration_seconds: 1 }] },
    "manifest.tolerations[0].toleration_seconds",
    "NoExecute",
  ],
  ...["app.kubernetes.io/name", "k8s.io/x", "hypha.amun.ai/session", "job-name", "__proto__"]
    .map((key): [unknown, string, string] => [
      { image, labels: Object.fromEntries([[key, "x"]]) },
      `manifest.labels.${key}`,
      "a key",
    ]),
  [{ image, annotations: { a: "x".repeat(20_000) } }, "manifest.annotations.a", "text"],
  [{ image, wait_for_service: "a b" }, "manifest.wait_for_service", "must be"],
  [{ image, service_timeout: 0 }, "manifest.service_timeout", "seconds"],
  [{ image, service_id: "a" }, "manifest.service_id", "is not for k8s-job"],
  [{ type: "claude-agent", image }, "manifest.image", "is not for claude-agent"],
  [{ type: "claude-agent", env: {} }, "manifest.env", "is not for claude-agent"],
  [{ type: "claude-agent", service_id: "$(HYPHA_TOKEN)" }, "manifest.service_id", "letters"],
  [{ type: "claude-agent", service_id: "ws/other:x" }, "manifest.service_id", "letters"],
  [{ type: "claude-agent", visibility: "unlisted" }, "manifest.visibility", "protected, public"],
  [{ type: "claude-agent", workspace: "$(A)" }, "manifest.workspace", "workspace"],
  [{ image, env_from: [{}] }, "manifest.env_from", "not possible"],
  [{ image, envFrom: [{}] }, "manifest.envFrom", "not possible"],
  [{ image, securityContext: {} }, "manifest.securityContext", "not possible"],
  [{ image, initContainers: [] }, "manifest.initContainers", "not possible"],
  [{ image, hostPID: true }, "manifest.hostPID", "not possible"],
  [{ image, spec: {} }, "manifest.spec", "not possible"],
  [
    { image, automountServiceAccountToken: true },
    "manifest.automountServiceAccountToken",
    "not poss",
  ],
];

Deno.test("a bad value is refused with its place, what it must be, and what to do", () => {
  for (const [manifest, place, words] of BAD) {
    const error = refusal(manifest, { allowedSecrets: ["*"] });
    const about = `${JSON.stringify(manifest)?.slice(0, 200)}: ${error.message}`;
    assertEquals(error.code, "invalid_argument", about);
    assertStringIncludes(error.message, place, about);
    assertStringIncludes(`${error.message}`, words, about);
    assertStringIncludes(String(error.context.argument), "manifest", about);
    assert(error.message.startsWith("Cannot start job: "), about);
    assert(error.suggestion.length > 10 && error.message.length < 900, about);
  }
});

/** Manifests that need a permission, with what gives it. */
const UNALLOWED: [
  manifest: Record<string, unknown>,
  place: string,
  setting: object,
  option: string,
][] = [
  [{ privileged: true }, "privileged", { allowPrivileged: true }, "--allow-privileged"],
  [{ host_network: true }, "host_network", { allowHostNetwork: true }, "--allow-host-network"],
  [
    { volumes: [{ mount_path: "/a", host_path: "/data" }] },
    "volumes[0].host_path",
    { allowHostPath: true },
    "--allow-host-path",
  ],
  [
    { volumes: [{ mount_path: "/a", claim: "c" }] },
    "volumes[0].claim",
    { allowedClaims: ["c"] },
    "--allowed-claims",
  ],
  [
    { volumes: [{ mount_path: "/a", secret: "s" }] },
    "volumes[0].secret",
    { allowedSecrets: ["s"] },
    "--allowed-secrets",
  ],
  [
    { volumes: [{ mount_path: "/a", config_map: "m" }] },
    "volumes[0].config_map",
    { allowedConfigMaps: ["m"] },
    "--allowed-config-maps",
  ],
  [
    { env: { A: { secret: "s", key: "k" } } },
    "env.A.secret",
    { allowedSecrets: ["*"] },
    "--allowed-secrets",
  ],
  [
    { env: { A: { config_map: "m", key: "k" } } },
    "env.A.config_map",
    { allowedConfigMaps: ["*"] },
    "--allowed-config-maps",
  ],
  [
    { image_pull_secrets: ["s"] },
    "image_pull_secrets[0]",
    { allowedSecrets: ["s"] },
    "--allowed-secrets",
  ],
  [
    { service_account: "a" },
    "service_account",
    { allowedServiceAccounts: ["a"] },
    "--allowed-service-accounts",
  ],
  [
    { tolerations: [{ key: "node-role.kubernetes.io/control-plane" }] },
    "tolerations[0].key",
    { allowedTolerations: ["node-role.kubernetes.io/control-plane"] },
    "--allowed-tolerations",
  ],
];

Deno.test("what the operator must allow is refused without it, and goes with it", () => {
  for (const [fields, place, setting, option] of UNALLOWED) {
    const manifest = { image, ...fields };
    const error = refusal(manifest);
    assertEquals(error.code, "permission_denied", place);
    assertStringIncludes(error.message, `manifest.${place}: `);
    assertStringIncludes(error.suggestion, option);
    build(manifest, setting);
  }
});

Deno.test("what is allowed by the operator is in the pod", () => {
  const all = { allowPrivileged: true, allowHostNetwork: true, allowHostPath: true };
  const built = build({
    image,
    privileged: true,
    host_network: true,
    volumes: [{ mount_path: "/a", host_path: "/data" }],
  }, all);
  assertEquals(containerOf(built).securityContext, { privileged: true });
  assertEquals(podOf(built).hostNetwork, true);
  assertEquals(podOf(built).volumes, [{ name: "volume-1", hostPath: { path: "/data" } }]);
  const off = build({ image, privileged: false, host_network: false });
  assertEquals(podOf(off).hostNetwork, undefined);
  assertEquals(containerOf(off).securityContext!.privileged, undefined);
});

Deno.test("wildcards reach neither the worker's own secrets nor those of sessions", () => {
  const own = ["worker-token", "deno-claude-code-config", "hypha-secrets"];
  const manifest = (secret: string) => ({ image, env: { A: { secret, key: "k" } } });
  for (const secret of own) {
    const settings = { ownNames: ["worker-token"] };
    for (const pattern of ["*", `${secret.slice(0, 4)}*`, `*${secret}`]) {
      refusal(manifest(secret), { ...settings, allowedSecrets: [pattern] });
    }
    build(manifest(secret), { ...settings, allowedSecrets: [secret] });
  }
  const session = "hypha-job-other-0123456789";
  refusal(manifest(session), { allowedSecrets: ["*", session] });
  refusal({ type: "claude-agent", secret_name: "worker-token" }, {
    ownNames: ["worker-token"],
    allowedSecrets: ["*"],
  });
});

Deno.test("a pattern with {workspace} is for that tenant alone", () => {
  const claim = (name: string, workspace: string) => {
    const manifest = { image, volumes: [{ mount_path: "/a", claim: name }] };
    const request: Partial<JobRequest> = { workspace };
    return [manifest, { allowedClaims: ["data-{workspace}"] }, request] as const;
  };
  build(...claim("data-ws-a", "ws-a"));
  refusal(...claim("data-ws-b", "ws-a"));
  refusal(...claim("data-{workspace}", "ws-a"));
});

Deno.test("images are allowed in every spelling, and a digest is not hidden behind a tag", () => {
  const digest = `sha256:${"0".repeat(64)}`;
  const allows = (pattern: string, name: string) => {
    try {
      build({ image: name }, { allowedImages: [pattern] });
      return true;
    } catch {
      return false;
    }
  };
  for (
    const [pattern, name, allowed] of [
      ["python:3.11", "python:3.11", true],
      ["python:3.11", "docker.io/library/python:3.11", true],
      ["docker.io/library/python:*", "python:3.11", true],
      ["python:*", "evil/python:3.11", false],
      ["python:*", "evil.io/python:3.11", false],
      ["python:3.*", "python:2.7", false],
      ["python:3.11*", `python:3.11@${digest}`, false],
      ["python@*", `python:3.11@${digest}`, true],
      ["ghcr.io/acme/*", "ghcr.io/acme/a/b:1", true],
      ["ghcr.io/acme/*", "ghcr.io/acmeevil/b:1", false],
      ["*", "localhost:5000/a:1", true],
      ["a*b*c:1", "axbxc:1", true],
      ["a*b*c:1", "acb:1", false],
    ] as const
  ) assertEquals(allows(pattern, name), allowed, `${pattern} ${name}`);
});

Deno.test("nothing goes above the operator's ceilings, also what asks for nothing", () => {
  const maxResources = {
    cpu: "4",
    memory: "8Gi",
    "ephemeral-storage": "10Gi",
    "nvidia.com/gpu": "1",
  };
  for (
    const fields of [
      { resources: { limits: { cpu: "4001m" } } },
      { resources: { requests: { memory: "9Gi" } } },
      { gpu: 2 },
      { volumes: [{ mount_path: "/a", empty_dir: { size_limit: "11Gi" } }] },
      { volumes: [{ mount_path: "/a", empty_dir: { medium: "Memory", size_limit: "9Gi" } }] },
    ]
  ) assertEquals(refusal({ image, ...fields }, { maxResources }).code, "permission_denied");
  const built = build({ image, volumes: [{ mount_path: "/a", empty_dir: true }] }, {
    maxResources,
  });
  assertEquals(containerOf(built).resources, {
    requests: { cpu: "100m", memory: "128Mi", "ephemeral-storage": "128Mi" },
    limits: { cpu: "4", memory: "8Gi", "ephemeral-storage": "10Gi" },
  });
  assertEquals(podOf(built).volumes![0]!.emptyDir, { sizeLimit: "10Gi" });
  const agent = build({ type: "claude-agent" }, { maxResources: { cpu: "250m" } });
  assertEquals(containerOf(agent).resources, {
    requests: { cpu: "250m", memory: "512Mi" },
    limits: { cpu: "250m", memory: "2Gi" },
  });
});

Deno.test("defaults of the operator hold where a manifest does not say, and make way where it does", () => {
  const defaultResources = { requests: { cpu: "100m" }, limits: { cpu: "1", memory: "1Gi" } };
  const of = (resources: unknown) =>
    containerOf(build({ image, resources }, { defaultResources })).resources;
  assertEquals(of({}), { requests: { cpu: "100m" }, limits: { cpu: "1", memory: "1Gi" } });
  assertEquals(of({ requests: { cpu: 2 } }), {
    requests: { cpu: "2" },
    limits: { cpu: "2", memory: "1Gi" },
  });
  assertEquals(of({ limits: { cpu: "50m" } }), {
    requests: { cpu: "50m" },
    limits: { cpu: "50m", memory: "1Gi" },
  });
});

Deno.test("limits of the operator on time, types and images are told", () => {
  assertEquals(refusal({ image, timeout: 61 }, { maxTimeout: 60 }).code, "permission_denied");
  assertEquals(build({ image }, { maxTimeout: 60 }).job.spec!.activeDeadlineSeconds, 60);
  const type = refusal({ type: "claude-agent" }, { types: ["k8s-job"] });
  assertEquals([type.code, type.suggestion], [
    "permission_denied",
    "Use one of the types k8s-job.",
  ]);
  assertEquals(
    refusal({ image, image_pull_policy: "Never" }, { imagePullPolicy: "Always" }).code,
    "permission_denied",
  );
  assertEquals(refusal({ image, namespace: "kube-system" }).code, "permission_denied");
  build({ image, namespace: "hypha" });
});

Deno.test("fields of Hypha are passed over, mistyped ones corrected, others told of", () => {
  const hypha = {
    name: "App",
    description: "text",
    id: "x",
    version: "0.1.0",
    format_version: "0.2.1",
    entry_point: "source",
    config: {},
    dependencies: [],
    scripts: [],
    service_ids: ["ws/x:default"],
    daemon: false,
    singleton: false,
    autoscaling: null,
    startup_config: { timeout: 5 },
    created_by: "user",
    _rtype: "pydantic-model",
    env: null,
  };
  assertEquals(build({ ...hypha, image }).warnings, []);
  for (
    const [field, meant] of [
      ["comand", "command"],
      ["workingDir", "working_dir"],
      ["nodeSelector", "node_selector"],
      ["serviceAccountName", "service_account"],
      ["activeDeadlineSeconds", "active_deadline_seconds"],
      ["Image", "image"],
      ["cpu", "resources"],
      ["hostNetwork", "host_network"],
    ]
  ) {
    const error = refusal({ image, [field!]: "x" });
    assertEquals(error.suggestion, `Did you mean ${meant}?`, field);
  }
  assertEquals(build({ image, my_own: 1 }).warnings, [
    'The manifest\'s field "my_own" is not known here and was passed over',
  ]);
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`zz${i}q`, i]));
  assertEquals(build({ image, ...many }).warnings.length, 11);
});

Deno.test("values of variables are never in errors", () => {
  for (const value of ["s3cret\0", "s3cret".repeat(10_000), { s3cret: "s3cret" }, ["s3cret"]]) {
    const error = refusal({ image, env: { A: value } });
    assertEquals(`${error.message} ${error.suggestion}`.includes("s3cret"), false);
  }
});

Deno.test("what the starter hands over is checked, too", () => {
  const bad: Partial<JobRequest>[] = [
    { name: "Not-a-label" },
    { name: "a".repeat(64) },
    { sessionId: "a\nb" },
    { workspace: "../x" },
    { clientId: "$(HYPHA_TOKEN)" },
    { owner: "a".repeat(300) },
    { serverUrl: "https://user:password@example.org" },
    { token: "a".repeat(70_000) },
  ];
  for (const given of bad) {
    const error = refusal({ image }, {}, { name: "hypha-job-a", ...given });
    assertEquals(error.code, "invalid_argument", JSON.stringify(given).slice(0, 99));
  }
});

Deno.test("standard variables mean themselves, whatever is in them", () => {
  const built = build({ image }, {}, { appId: "$(HYPHA_TOKEN)$$(A)" });
  const app = containerOf(built).env!.find(({ name }) => name === "HYPHA_APP_ID");
  assertEquals(app!.value, "$$(HYPHA_TOKEN)$$$$(A)");
});
