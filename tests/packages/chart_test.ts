import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { parse } from "@std/yaml";
import { START_OPTIONS } from "../../lib/cli/options.ts";
import { readSettings } from "../../lib/cli/start_settings.ts";
import { VERSION } from "../../lib/version.ts";
import { stackPaths } from "../stack/stack.ts";
import {
  chartDirectory,
  helm,
  LEAST,
  merged,
  only,
  render,
  type Values,
  workload,
} from "./chart.ts";
import { CASES } from "./chart_cases.ts";
import {
  checkDescribed,
  checkObjects,
  checkRestricted,
  checkVersion,
  pod,
  variables,
} from "./chart_checks.ts";
import { REFUSED } from "./chart_refused.ts";
import { type Manifest, mistakes } from "./schema.ts";
import { Folder, testWith } from "./support.ts";

/** What must hold whatever the values are. */
function checkAlways(manifests: readonly Manifest[], name: string): void {
  checkObjects(manifests, START_OPTIONS, name);
  const { spec, container } = pod(manifests);
  // Sessions run the code of others.
  assertEquals(spec.automountServiceAccountToken, false, name);
  assert(!JSON.stringify(workload(manifests)).includes("the-token"), name);
  const mounts = container.volumeMounts as { mountPath: string }[];
  const env = variables(manifests);
  for (const variable of ["HYPHA_CACHE_DIR", "HYPHA_WORKING_DIR"]) {
    const place = `${env[variable]}/`;
    assert(mounts.some((one) => place.startsWith(`${one.mountPath}/`)), `${name}: ${place}`);
  }
  const drain = Number(env.HYPHA_DRAIN_TIMEOUT);
  assert(spec.terminationGracePeriodSeconds >= drain + 5, name);
}

testWith(
  "what the chart makes fits Kubernetes and the worker, whatever the values are",
  "helm",
  "packages",
  async (program) => {
    for (const { name, values, check } of CASES) {
      const manifests = await render(program, merged(LEAST, values));
      checkAlways(manifests, name);
      check?.(manifests);
    }
  },
);

testWith(
  "values that cannot work are refused with what to do",
  "helm",
  "packages",
  async (program) => {
    for (const { values, bare, says } of REFUSED) {
      const all = bare ? values : merged(LEAST, values);
      const error = await assertRejects(() => render(program, all), Error, undefined, says);
      assertStringIncludes(error.message, says);
    }
  },
);

testWith("the worker takes the settings of the chart", "helm", "packages", async (program) => {
  await using folder = await Folder.make();
  const token = await folder.write("token", "secret-token\n");
  const manifests = await render(
    program,
    merged(LEAST, {
      condaWorker: {
        serviceId: "conda-worker",
        clientId: "worker-1",
        visibility: "public",
        authorizedWorkspaces: "a,b",
        workingDir: "/tmp/conda-sessions",
        cacheDir: "/data/conda-cache",
        drainTimeout: 2.5,
        isolation: "required",
        verbose: true,
        extraArgs: ["--max-sessions=7"],
      },
    }),
  );
  const env: Record<string, string> = { ...variables(manifests), HYPHA_TOKEN_FILE: token };
  const [command, ...args] = pod(manifests).container.args as string[];
  assertEquals(command, "start");
  const settings = await readSettings(args, (name) => env[name]);
  const { serverUrl, workspace, token: read, serviceId, clientId, visibility } = settings;
  assertEquals(
    { serverUrl, workspace, read, serviceId, clientId, visibility },
    {
      serverUrl: "https://hypha.example.org",
      workspace: "my-workspace",
      read: "secret-token",
      serviceId: "conda-worker",
      clientId: "worker-1",
      visibility: "public",
    },
  );
  assertEquals(settings.authorizedWorkspaces, ["a", "b"]);
  assertEquals([settings.cacheDir, settings.workingDir], [
    "/data/conda-cache",
    "/tmp/conda-sessions",
  ]);
  assertEquals([settings.drainTimeout, settings.isolation, settings.verbose, settings.logFormat], [
    2500,
    "required",
    true,
    "json",
  ]);
  assertEquals(settings.metrics, { port: 9090, hostname: "0.0.0.0" });
  assertEquals(settings.maxSessions, 7);
});

testWith("pods fit the restricted pod security standard", "helm", "packages", async (program) => {
  const manifests = await render(program, LEAST);
  checkRestricted(manifests);
  const allowed = new Set(["persistentVolumeClaim", "emptyDir", "secret"]);
  for (const volume of pod(manifests).spec.volumes as Record<string, unknown>[]) {
    for (const kind of Object.keys(volume)) assert(kind === "name" || allowed.has(kind), kind);
  }
});

testWith("disabled, the chart makes nothing", "helm", "packages", async (program) => {
  const values: Values = {
    condaWorker: { enabled: false },
    autoscaling: { enabled: true },
    serviceMonitor: { enabled: true },
    podDisruptionBudget: { enabled: true },
    networkPolicy: { enabled: true },
  };
  assertEquals(await render(program, values), []);
});

testWith("helm's own linter has nothing to say", "helm", "packages", async (program) => {
  for (const { name, values } of CASES) {
    const { code, stdout, stderr } = await helm(
      program,
      ["lint", "--strict", "--quiet", chartDirectory],
      merged(LEAST, values),
    );
    assertEquals(code, 0, `${name}: ${stdout}${stderr}`);
  }
});

testWith("notes name what was made", "helm", "packages", async (program) => {
  const notes = async (values: Values) => {
    const command = ["install", "release", chartDirectory, "--dry-run=client", "--namespace", "n"];
    const { code, stdout, stderr } = await helm(program, command, merged(LEAST, values));
    assertEquals(code, 0, stderr);
    return stdout.slice(stdout.indexOf("NOTES:"));
  };
  const plain = await notes({});
  assertStringIncludes(plain, "rollout status deployment/release-hypha-conda-worker");
  assertStringIncludes(plain, "secret my-token");
  const each = await notes({ replicaCount: 2, persistence: { perReplica: true } });
  assertStringIncludes(each, "statefulset/release-hypha-conda-worker");
  const made = await notes({ secret: { existingSecret: "", token: "the-token" } });
  assertStringIncludes(made, "history of this release");
  assert(!made.includes("the-token"));
});

testWith("the plain manifests are what the chart makes", "helm", "packages", async (program) => {
  const directory = join(stackPaths.root, "deploy", "kubernetes");
  const rendered = await render(
    program,
    merged(LEAST, {
      fullnameOverride: "hypha-conda-worker",
      condaWorker: { serverUrl: "https://hypha.aicell.io" },
      secret: { existingSecret: "hypha-conda-worker-token" },
    }),
    "hypha-conda-worker",
  );
  const plain = await Promise.all(
    (await resources()).map(async (name) =>
      parse(await Deno.readTextFile(join(directory, name))) as Manifest
    ),
  );
  assertEquals(
    new Set(plain.map((one) => one.kind)),
    new Set(rendered.map((one) => one.kind)),
  );
  for (const manifest of plain) {
    const own = withoutMarks(manifest);
    assertEquals(own, withoutMarks(only(rendered, manifest.kind)), manifest.kind);
  }
});

/** Without labels and annotations that only helm needs, and without the namespace. */
function withoutMarks(manifest: Manifest): unknown {
  return JSON.parse(JSON.stringify(manifest), (key, value) => {
    if (key === "namespace" || key === "helm.sh/resource-policy") return undefined;
    if (["labels", "matchLabels"].includes(key) || key === "selector" && !value.matchLabels) {
      return { "app.kubernetes.io/name": value["app.kubernetes.io/name"] };
    }
    if (key === "annotations" && Object.keys(value).length === 0) return undefined;
    return value;
  });
}

/** The files that kustomization.yaml names. */
async function resources(): Promise<string[]> {
  const file = join(stackPaths.root, "deploy", "kubernetes", "kustomization.yaml");
  return (parse(await Deno.readTextFile(file)) as { resources: string[] }).resources;
}

Deno.test("the plain manifests fit Kubernetes, and kustomization.yaml names them all", async () => {
  const directory = join(stackPaths.root, "deploy", "kubernetes");
  const named = await resources();
  const files: string[] = [];
  for await (const { name } of Deno.readDir(directory)) files.push(name);
  assertEquals(files.sort(), ["kustomization.yaml", ...named].sort());
  for (const name of named) {
    const manifest = parse(await Deno.readTextFile(join(directory, name))) as Manifest;
    assertEquals(mistakes(manifest), [], name);
  }
});

Deno.test("the check of manifests finds mistakes", async () => {
  const file = join(stackPaths.root, "deploy", "kubernetes", "worker.yaml");
  const manifest = parse(await Deno.readTextFile(file)) as Manifest;
  assertEquals(mistakes(manifest), []);
  const pod = manifest.spec.template.spec;
  pod.terminationGracePeriod = 30;
  pod.containers[0].ports[0].containerPort = "9090";
  pod.containers[0].args = "start";
  pod.containers[0].resources.limits.memory = "8 gigabytes";
  delete pod.containers[0].name;
  delete manifest.spec.selector;
  manifest.metadata.labels!["a b"] = "c";
  const found = mistakes(manifest);
  for (
    const path of [
      "spec.terminationGracePeriod: is unknown",
      "ports[0].containerPort: a number",
      "args: a list",
      "limits.memory: a quantity",
      "containers[0].name: is missing",
      "spec.selector: is missing",
      "metadata.labels: a b=c",
    ]
  ) assert(found.some((one) => one.includes(path)), `${path} in ${found.join("\n")}`);
  assertEquals(found.length, 7);
});

Deno.test("versions of chart, image and program are one", async () => {
  const root = stackPaths.root;
  await checkVersion(chartDirectory, "hypha-conda-worker");
  const image = `ghcr.io/amun-ai/hypha-conda-worker:${VERSION}`;
  for (const path of ["deploy/compose.yaml", "deploy/kubernetes/worker.yaml"]) {
    assertStringIncludes(await Deno.readTextFile(join(root, path)), image, path);
  }
  const kustomization = await Deno.readTextFile(join(root, "deploy/kubernetes/kustomization.yaml"));
  assertMatch(kustomization, new RegExp(`newTag: ${VERSION.replaceAll(".", "\\.")}\n`));
  assertMatch(
    await Deno.readTextFile(join(root, "Dockerfile")),
    new RegExp(`^ARG VERSION=${VERSION}$`, "m"),
  );
});

Deno.test("the chart's README has the values, and each is described in the schema", async () => {
  await checkDescribed(chartDirectory);
});
