import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { parse } from "@std/yaml";
import { environmentNames } from "../../lib/cli/option.ts";
import { START_OPTIONS } from "../../lib/cli/options.ts";
import { readSettings } from "../../lib/cli/start_settings.ts";
import { stackPaths } from "../stack/stack.ts";
import { execute, Folder, testWith } from "./support.ts";

const root = stackPaths.root;
const UNIT = join(root, "deploy", "systemd", "hypha-conda-worker.service");
const WORKFLOWS = join(root, ".github", "workflows");

/** Paths of files in the checkout that git knows or would take, by a test of their first line and name. */
async function scripts(): Promise<string[]> {
  const { stdout, code, stderr } = await execute("git", [
    ...["-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
  ]);
  assertEquals(code, 0, stderr);
  const found: string[] = [];
  for (const path of stdout.trim().split("\n")) {
    const file = join(root, path);
    const info = await Deno.stat(file).catch(() => undefined);
    if (!info?.isFile) continue;
    if (path.endsWith(".sh")) found.push(path);
    else if ((info.mode ?? 0) & 0o111) {
      using handle = await Deno.open(file);
      const buffer = new Uint8Array(100);
      const length = await handle.read(buffer) ?? 0;
      const first = new TextDecoder().decode(buffer.subarray(0, length)).split("\n")[0]!;
      if (/^#!.*\b(ba)?sh\b/.test(first)) found.push(path);
    }
  }
  return found.sort();
}

testWith(
  "shellcheck has nothing to say about any shell script",
  "shellcheck",
  "stack",
  async (program) => {
    const files = await scripts();
    for (
      const path of ["scripts/compile.sh", "scripts/install.sh", "deploy/image/python", ".ci/run"]
    ) {
      assert(files.includes(path), path);
    }
    // Those that are sourced have no first line that says what they are for.
    for (const file of files) {
      const text = await Deno.readTextFile(join(root, file));
      const shell = text.startsWith("#!") || /^# shellcheck shell=/m.test(text)
        ? []
        : [file === "scripts/env.sh" ? "--shell=bash" : "--shell=sh"];
      const { code, stdout } = await execute(program, [
        ...["--external-sources", "--severity=warning", ...shell],
        // Variables of sourced files are used by those who source them.
        ...(shell.length > 0 ? ["--exclude=SC2034"] : []),
        file,
      ]);
      assertEquals(code, 0, stdout);
    }
  },
);

testWith(
  "hadolint has nothing to say about the Dockerfile",
  "hadolint",
  "stack",
  async (program) => {
    const { code, stdout } = await execute(program, ["Dockerfile"]);
    assertEquals([code, stdout], [0, ""]);
    // It does look: this is what it would say.
    await using folder = await Folder.make();
    const bad = await folder.write("Dockerfile", "FROM debian\nRUN cd /x && apt-get install y\n");
    assertEquals((await execute(program, [bad])).code, 1);
  },
);

testWith(
  "compose file, workflows and the charts' schemas fit their schemas",
  "check-jsonschema",
  "stack",
  async (program) => {
    const check = (...args: string[]) => execute(program, args);
    const workflows = ["ci.yaml", "release.yaml"].map((name) => join(WORKFLOWS, name));
    for (
      const args of [
        ["--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"],
        ["--builtin-schema", "vendor.github-workflows", ...workflows],
        [
          "--check-metaschema",
          ...["hypha-conda-worker", "hypha-k8s-worker"].map((name) =>
            `deploy/helm/${name}/values.schema.json`
          ),
        ],
      ]
    ) {
      const { code, stdout, stderr } = await check(...args);
      assertEquals(code, 0, stdout + stderr);
    }
  },
);

testWith(
  "actionlint has nothing to say about the workflows",
  "actionlint",
  "packages",
  async (program) => {
    const workflows = ["ci.yaml", "release.yaml"].map((name) => join(WORKFLOWS, name));
    const lint = join(stackPaths.tools, "lint", "bin", "shellcheck");
    const shellcheck = await Deno.stat(lint).then(() => lint, () => "");
    const { code, stdout } = await execute(program, ["-shellcheck", shellcheck, ...workflows]);
    assertEquals(code, 0, stdout);
  },
);

interface Workflow {
  permissions?: Record<string, string>;
  concurrency?: unknown;
  jobs: Record<string, {
    permissions?: Record<string, string>;
    uses?: string;
    "timeout-minutes"?: number;
    steps?: { uses?: string; run?: string; with?: Record<string, unknown> }[];
  }>;
}

Deno.test("workflows have the least rights, pinned actions, and an end", async () => {
  for (const name of ["ci.yaml", "release.yaml"]) {
    const workflow = parse(await Deno.readTextFile(join(WORKFLOWS, name))) as Workflow;
    const own = Object.entries(workflow.permissions ?? { all: "write" });
    assert(own.every(([, right]) => right === "read"), `${name}: ${own}`);
    assert(workflow.concurrency !== undefined, name);
    for (const [job, { permissions, steps, uses, ...rest }] of Object.entries(workflow.jobs)) {
      const writes = Object.entries(permissions ?? {}).filter(([, right]) => right === "write");
      // Only the job that publishes may change the repository, and it runs nothing of it.
      if (writes.some(([what]) => what === "contents")) {
        assertEquals([name, job], ["release.yaml", "release"]);
        assert(!steps?.some((step) => step.uses?.startsWith("actions/checkout")));
      }
      if (uses !== undefined) continue;
      assert(rest["timeout-minutes"] !== undefined, `${name}: ${job}`);
      for (const step of steps ?? []) {
        if (step.uses !== undefined) assertMatch(step.uses, /@(v\d+|[0-9a-f]{40})$/);
        if (step.uses?.startsWith("actions/checkout")) {
          assertEquals(step.with?.["persist-credentials"], false, `${name}: ${job}`);
        }
        // Text from outside comes as a variable, never as code.
        assert(!/\$\{\{/.test(step.run ?? ""), `${name}: ${job}: ${step.run}`);
      }
    }
  }
});

testWith(
  "systemd takes the unit, and finds little to expose",
  "systemd-analyze",
  "stack",
  async (program) => {
    await using folder = await Folder.make();
    const text = await Deno.readTextFile(UNIT);
    // Whether the program is installed here is not what is asked.
    const unit = await folder.write(
      "hypha-conda-worker.service",
      text.replace("ExecStart=/usr/local/bin/hypha-conda-worker", "ExecStart=/bin/true"),
    );
    const verify = await execute(program, ["verify", "--recursive-errors=no", unit]);
    assertEquals([verify.code, verify.stdout + verify.stderr], [0, ""]);
    const help = await execute(program, ["--help"]);
    if (!help.stdout.includes("--threshold")) return;
    const exposed = await execute(program, ["security", "--offline=true", "--threshold=20", unit]);
    assertEquals(exposed.code, 0, exposed.stdout.trim().split("\n").at(-1));
  },
);

/** Names of an option's variables. */
const KNOWN = new Set(START_OPTIONS.flatMap(environmentNames));

/** Variables of a file with lines NAME=value; those in comments too. */
function variables(text: string): [string, string][] {
  return [...text.matchAll(/^#?([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]);
}

Deno.test("unit, compose file and example give the worker settings it takes", async () => {
  await using folder = await Folder.make();
  const token = await folder.write("token", "secret-token\n");
  const example = await Deno.readTextFile(join(root, "deploy", "worker.env.example"));
  const examples = variables(example);
  for (const [name] of examples) assert(KNOWN.has(name), name);
  assert(!examples.some(([name]) => name.endsWith("_TOKEN")));
  const settings = (env: Record<string, string>) =>
    readSettings([], (name) => ({ ...Object.fromEntries(examples), ...env })[name]);

  const unit = await Deno.readTextFile(UNIT);
  const environment = [...unit.matchAll(/^Environment=([A-Z_]+)=(.*)$/gm)]
    .map(([, name, value]) => [name!, value!.replace("%d/token", token).replace("%C", "/c")]);
  for (const [name] of environment) {
    if (/^(HYPHA|CONDA)_/.test(name!)) assert(KNOWN.has(name!), name);
  }
  const ofUnit = await settings(Object.fromEntries(environment));
  assertEquals([ofUnit.token, ofUnit.cacheDir], ["secret-token", "/c/hypha-conda-worker"]);
  const stop = Number(/^TimeoutStopSec=(\d+)s$/m.exec(unit)?.[1]);
  assert(stop * 1000 >= ofUnit.drainTimeout + 5000);

  const { services, secrets } = parse(
    await Deno.readTextFile(join(root, "deploy", "compose.yaml")),
  ) as {
    services: { worker: Record<string, unknown> & { environment: Record<string, string> } };
    secrets: Record<string, { file: string }>;
  };
  const { worker } = services;
  for (const name of Object.keys(worker.environment)) assert(KNOWN.has(name), name);
  const [secret] = Object.keys(secrets);
  assertEquals(worker.environment.HYPHA_TOKEN_FILE, `/run/secrets/${secret}`);
  const ofCompose = await settings({
    ...worker.environment,
    HYPHA_TOKEN_FILE: token,
    // As the image has it.
    HYPHA_CONDA_CACHE_DIR: "/cache",
  });
  const grace = Number(/^(\d+)s$/.exec(String(worker.stop_grace_period))?.[1]);
  assert(grace * 1000 >= ofCompose.drainTimeout + 5000);
  assertEquals(worker.read_only, true);
  assertEquals(worker.cap_drop, ["ALL"]);
  // The token is only in its file.
  assertStringIncludes(String(secrets[secret!]!.file), "token.txt");
});
