import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { stackPaths } from "../stack/stack.ts";
import { type Ended, execute, Folder, testWith, tool } from "./support.ts";

const SCRIPT = join(stackPaths.root, "deploy", "deploy-worker.sh");
const CHART = join(stackPaths.root, "deploy", "helm", "hypha-k8s-worker");

/** A stub of kubectl: prints the file of the object that it is asked for, and fails with what is in `refusal`. */
const KUBECTL = `#!/bin/sh
printf '%s\\n' "$*" >>"$STUB/kubectl.calls"
if [ -f "$STUB/refusal" ]; then cat "$STUB/refusal" >&2; exit 1; fi
for argument in "$@"; do
  if [ -f "$STUB/$kind-$argument" ]; then cat "$STUB/$kind-$argument"; fi
  kind=$argument
done
`;

/** A stub of helm: plans are the real helm's, for which there is no cluster; what is installed is only written down. */
const HELM = `#!/bin/sh
case " $* " in
  *" --dry-run=client "*) exec "$REAL_HELM" "$@" ;;
esac
for argument in "$@"; do printf '%s\\n' "$argument"; done >"$STUB/helm.call"
exit "\${HELM_FAILS:-0}"
`;

/** What the script and the stubs use besides. Nothing else of this machine is on their PATH. */
const BASICS = ["cat", "dirname", "grep", "mktemp", "rm", "sed"];

/** A cluster as the stubs know it. */
class Stubs implements AsyncDisposable {
  readonly #folder: Folder;

  private constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** With the namespace `hypha`, and in it the secret that the chart takes by default. */
  static async make(programs = ["helm", "kubectl"]): Promise<Stubs> {
    const folder = await Folder.make("stubs-");
    const text: Record<string, string> = { helm: HELM, kubectl: KUBECTL };
    for (const name of programs) await folder.write(`bin/${name}`, text[name]!, 0o755);
    for (const name of BASICS) await Deno.symlink(tool(name)!, join(folder.path, "bin", name));
    // As a cluster without releases has it.
    await folder.write("releases.yaml", "[]\n");
    const stubs = new Stubs(folder);
    await stubs.has("namespace-hypha", "namespace/hypha\n");
    await stubs.has("secret-hypha-secrets", "found\nkey HYPHA_AGENTS_TOKEN\n");
    return stubs;
  }

  /** Puts what kubectl says about an object; `undefined` takes it away. */
  async has(name: string, says: string | undefined): Promise<void> {
    if (says !== undefined) await this.#folder.write(name, says);
    else await Deno.remove(join(this.#folder.path, name));
  }

  /** Runs the script. */
  async deploy(args: readonly string[] = [], env: Record<string, string> = {}): Promise<Ended> {
    const { path } = this.#folder;
    await Deno.remove(join(path, "helm.call")).catch(() => {});
    return await execute("/bin/sh", [SCRIPT, ...args], {
      // It may be called from anywhere.
      cwd: path,
      inherit: false,
      env: {
        PATH: join(path, "bin"),
        STUB: path,
        REAL_HELM: tool("helm")!,
        HELM_DRIVER: "memory",
        HELM_MEMORY_DRIVER_DATA: join(path, "releases.yaml"),
        HELM_CACHE_HOME: join(path, "cache"),
        HELM_CONFIG_HOME: join(path, "config"),
        HELM_DATA_HOME: join(path, "data"),
        KUBECONFIG: join(path, "none"),
        ...env,
      },
    });
  }

  /** Arguments of the installation; `undefined` when nothing was installed. */
  async installed(): Promise<string[] | undefined> {
    const file = join(this.#folder.path, "helm.call");
    const text = await Deno.readTextFile(file).catch(() => undefined);
    return text?.trimEnd().split("\n");
  }

  /** What kubectl was asked. */
  async asked(): Promise<string> {
    return await Deno.readTextFile(join(this.#folder.path, "kubectl.calls"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

testWith(
  "deploy-worker.sh installs the chart with the options it gets",
  "helm",
  "packages",
  async () => {
    await using stubs = await Stubs.make();
    const plain = await stubs.deploy();
    assertEquals([plain.code, plain.stderr], [0, ""]);
    const start = ["upgrade", "--install", "hypha-k8s-worker", CHART, "--namespace"];
    assertEquals(await stubs.installed(), [...start, "hypha", "--wait"]);

    await stubs.has("namespace-apps", "namespace/apps\n");
    await stubs.has("namespace-jobs", "namespace/jobs\n");
    await stubs.has("secret-my.token", "found\nkey other\nkey a.b\n");
    const options = [
      ...["-n", "apps", "--kube-context=there", "--timeout", "2m"],
      ...["--set", "kubernetes.namespace=jobs,hypha.existingSecret=my.token"],
      ...["--set-string", "hypha.tokenKey=a.b", "--set", "hypha.workspace=a b"],
    ];
    const refused = await stubs.deploy(options);
    assertStringIncludes(refused.stderr, "/hypha/workspace");
    options.splice(-1, 1, "hypha.workspace=ab");
    const own = await stubs.deploy(options);
    assertEquals([own.code, own.stderr], [0, ""]);
    assertEquals(await stubs.installed(), [...start, "apps", "--wait", ...options]);
    const asked = await stubs.asked();
    for (const what of ["namespace apps", "namespace jobs", "secret my.token --namespace=apps"]) {
      assertMatch(asked, new RegExp(`^--context=there .*get ${what}`, "m"));
    }
  },
);

testWith(
  "deploy-worker.sh says what is missing, and changes nothing",
  "helm",
  "packages",
  async () => {
    await using stubs = await Stubs.make();
    const fails = async (says: readonly string[], args: readonly string[] = []) => {
      const { code, stderr } = await stubs.deploy(args);
      assertEquals(code, 1, stderr);
      for (const text of says) assertStringIncludes(stderr, text);
      assertEquals(await stubs.installed(), undefined);
    };
    await fails(["no namespace apps", "kubectl create namespace apps"], ["--namespace=apps"]);
    await fails(["no namespace jobs"], ["--set", "kubernetes.namespace=jobs"]);
    await fails(
      [
        "no secret other in the namespace hypha",
        "create secret generic other --from-file=HYPHA_AGENTS_TOKEN=token.txt -n hypha",
      ],
      ["--set", "hypha.existingSecret=other"],
    );
    await fails(
      ["hypha-secrets in the namespace hypha has no token under the key TOKEN"],
      ["--set", "hypha.tokenKey=TOKEN"],
    );
    await fails(["serviceAccount.name is required", "helm refuses"], [
      ...["--set", "serviceAccount.create=false"],
    ]);
    await stubs.has("refusal", "Unable to connect to the server\n");
    await fails(["kubectl get namespace hypha: Unable to connect to the server"]);

    // Whoever may deploy need not be allowed to look at secrets.
    await stubs.has("refusal", 'Error from server (Forbidden): secrets "a" is forbidden\n');
    const { code, stderr } = await stubs.deploy();
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "Warning: not checked");
    assert(await stubs.installed() !== undefined);
  },
);

testWith(
  "deploy-worker.sh tells where to look when helm cannot deploy the worker",
  "helm",
  "packages",
  async () => {
    await using stubs = await Stubs.make();
    const { code, stderr } = await stubs.deploy([], { HELM_FAILS: "7" });
    assertEquals(code, 7);
    assertStringIncludes(stderr, "kubectl logs -n hypha -l app.kubernetes.io/instance=");
  },
);

for (const [missing, there] of [["helm", "kubectl"], ["kubectl", "helm"]] as const) {
  testWith(`deploy-worker.sh needs ${missing}, and says so`, "helm", "packages", async () => {
    await using stubs = await Stubs.make([there]);
    const { code, stderr } = await stubs.deploy();
    assertEquals(code, 1);
    assertStringIncludes(stderr, `${missing} is not on PATH`);
  });
}
