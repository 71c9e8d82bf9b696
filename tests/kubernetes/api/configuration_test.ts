import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { KubernetesClient } from "../../../lib/kubernetes/api/client.ts";
import {
  type ConfigurationOptions,
  loadConfiguration,
} from "../../../lib/kubernetes/api/configuration.ts";
import { exec } from "../../../lib/kubernetes/api/exec.ts";
import { loadKubeconfig } from "../../../lib/kubernetes/api/kubeconfig.ts";
import { pods } from "../../../lib/kubernetes/api/resource_path.ts";
import type { Pod } from "../../../lib/kubernetes/api/types.ts";
import { Mirror } from "../../../lib/kubernetes/api/watch.ts";
import { WorkerError } from "../../../lib/errors.ts";
import { authority, clientCertificate, clientKey } from "../certificates.ts";
import { FakeApiServer } from "../fake_api_server.ts";

/** A folder for files, and an environment of its own. */
async function place() {
  const folder = await Deno.makeTempDir();
  const values = new Map<string, string>([["HOME", folder]]);
  const serviceAccount = join(folder, "account");
  return {
    folder,
    values,
    options: { env: values, serviceAccount } satisfies ConfigurationOptions,
    async write(name: string, content: unknown): Promise<string> {
      const path = join(folder, name);
      await Deno.mkdir(join(path, ".."), { recursive: true });
      await Deno.writeTextFile(
        path,
        typeof content === "string" ? content : JSON.stringify(content),
      );
      return path;
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** A kubeconfig with one context. */
function kubeconfig(server: string, cluster: Record<string, unknown>, user: unknown) {
  return {
    "current-context": "one",
    "clusters": [{ name: "c", cluster: { server, ...cluster } }],
    "users": [{ name: "u", user }],
    "contexts": [{ name: "one", context: { cluster: "c", user: "u", namespace: "here" } }],
  };
}

async function errorOf(promise: Promise<unknown>): Promise<WorkerError> {
  const error = await assertRejects(() => promise, WorkerError);
  assertEquals(error.code, "connection_failed");
  return error;
}

const hasKubectl = await new Deno.Command("kubectl", { args: ["version", "--client"] }).output()
  .then(({ success }) => success, () => false);

Deno.test("in a pod the service account is used, and its token is read again when it is refused", async () => {
  await using server = FakeApiServer.start();
  await using it = await place();
  const { hostname, port } = new URL(server.url);
  it.values.set("KUBERNETES_SERVICE_HOST", hostname).set("KUBERNETES_SERVICE_PORT", port);
  await it.write("account/token", "token-of-the-fake\n");
  await it.write("account/ca.crt", authority);
  await it.write("account/namespace", "of-the-pod\n");
  await using configuration = await loadConfiguration(it.options);
  assertEquals(configuration.namespace, "of-the-pod");
  assertEquals(configuration.server, server.url);
  using client = new KubernetesClient(configuration, { backOff: 1 });
  await client.list(pods("here"));
  server.tokens.clear();
  server.tokens.add("the-next-token");
  await it.write("account/token", "the-next-token");
  await client.list(pods("here"));
  // A token that is being replaced may be away; the one before is still good.
  await Deno.remove(join(it.folder, "account", "token"));
  await configuration.credentials({ renew: true });
  await client.list(pods("here"));
});

Deno.test("a service account at an IPv6 address is found", async () => {
  await using it = await place();
  it.values.set("KUBERNETES_SERVICE_HOST", "fd00::1");
  await it.write("account/token", "some-token");
  await it.write("account/ca.crt", authority);
  await using configuration = await loadConfiguration(it.options);
  assertEquals(configuration.server, "https://[fd00::1]:443");
});

Deno.test("a kubeconfig that is named wins over the service account, and that over the one at home", async () => {
  await using it = await place();
  it.values.set("KUBERNETES_SERVICE_HOST", "in-cluster.example");
  await it.write("account/token", "some-token");
  await it.write("account/ca.crt", authority);
  await it.write(".kube/config", kubeconfig("https://home.example", {}, { token: "t" }));
  const named = await it.write("named", kubeconfig("https://named.example/", {}, { token: "t" }));
  const serverOf = async (options: ConfigurationOptions) => {
    await using configuration = await loadConfiguration({ ...it.options, ...options });
    return configuration.server;
  };
  assertEquals(await serverOf({}), "https://in-cluster.example:443");
  assertEquals(await serverOf({ kubeconfig: named }), "https://named.example");
  assertEquals(await serverOf({ context: "one" }), "https://home.example");
  it.values.set("KUBECONFIG", named);
  assertEquals(await serverOf({}), "https://named.example");
  it.values.delete("KUBECONFIG");
  it.values.delete("KUBERNETES_SERVICE_HOST");
  assertEquals(await serverOf({}), "https://home.example");
  await Deno.remove(join(it.folder, ".kube/config"));
  assertStringIncludes((await errorOf(serverOf({}))).message, "no pod with a service account");
});

Deno.test("tokens, certificates and logins come from fields or from files beside the kubeconfig", async () => {
  await using it = await place();
  await it.write("keys/ca.crt", authority);
  await it.write("keys/me.crt", clientCertificate);
  await it.write("keys/me.key", clientKey);
  await it.write("keys/token", "from-a-file\n");
  const settings = async (cluster: Record<string, unknown>, user: unknown) => {
    const path = await it.write("config", kubeconfig("https://x.example", cluster, user));
    const { settings, needsKubectl } = await loadKubeconfig(path);
    assertEquals(needsKubectl, undefined);
    return settings;
  };
  const data = {
    "client-certificate-data": btoa(clientCertificate),
    "client-key-data": btoa(clientKey),
  };
  const files = { "client-certificate": "keys/me.crt", "client-key": "keys/me.key" };
  const keys = { caCerts: [authority], cert: clientCertificate, key: clientKey };
  assertEquals((await settings({ "certificate-authority-data": btoa(authority) }, data)).tls, keys);
  assertEquals((await settings({ "certificate-authority": "keys/ca.crt" }, files)).tls, keys);
  const token = { token: "ignored", tokenFile: "keys/token" };
  assertEquals((await settings({}, token)).token, "from-a-file");
  assertEquals((await settings({}, { token: "in-a-field" })).token, "in-a-field");
  const login = { username: "me", password: "and you" };
  assertEquals((await settings({}, login)).login, login);
});

Deno.test("several kubeconfigs count as one, in which the first wins", async () => {
  await using it = await place();
  const first = await it.write("first", {
    clusters: [{ name: "c", cluster: { server: "https://first.example" } }],
    contexts: [],
  });
  const second = await it.write("second", kubeconfig("https://second.example", {}, { token: "t" }));
  const found = await loadKubeconfig(`${first}:${join(it.folder, "missing")}:${second}`);
  assertEquals(found.settings.server, "https://first.example");
  assertEquals(found.settings.token, "t");
  assertEquals(found.namespace, "here");
});

Deno.test("a kubeconfig that is of no use says why, and nothing of its secrets", async () => {
  await using it = await place();
  const secret = "a-secret-token";
  const good = kubeconfig("https://x.example", {}, { token: secret });
  const cases: [unknown, string][] = [
    ["[1, 2]", "it is no kubeconfig"],
    [`users: [{ token: ${secret}`, "it is not YAML"],
    [{ ...good, "current-context": "" }, "no current context"],
    [{ ...good, "current-context": "two" }, "no context two"],
    [{ ...good, clusters: [] }, "its cluster is not in the file"],
    [kubeconfig("ftp://x", {}, { token: secret }), "no http or https address"],
    [kubeconfig("https://x", {}, { token: `${secret}\nx: y` }), "characters that tokens have not"],
    [kubeconfig("https://x", { "certificate-authority": "gone" }, { token: secret }), "gone"],
    [kubeconfig("https://x", {}, { "client-key-data": "!" + secret }), "is not base64"],
    [kubeconfig("https://x", {}, { "client-key-data": btoa(secret) }), "needs its key"],
    [
      kubeconfig("https://x", {}, {
        "client-key-data": btoa(secret),
        "client-certificate-data": btoa(clientCertificate),
      }),
      "",
    ],
  ];
  for (const [content, reason] of cases) {
    const path = await it.write("config", content);
    const error = await errorOf(loadConfiguration({ ...it.options, kubeconfig: path }));
    assertStringIncludes(error.message, reason);
    assert(!Deno.inspect(error).includes(secret), error.message);
  }
  const missing = await errorOf(loadConfiguration({ ...it.options, kubeconfig: "/no/such/file" }));
  assertStringIncludes(missing.message, "there is no kubeconfig /no/such/file");
  const path = await it.write("config", { ...good, "current-context": "two" });
  const { suggestion } = await errorOf(loadConfiguration({ ...it.options, kubeconfig: path }));
  assertStringIncludes(suggestion, "one");
});

Deno.test("what only kubectl can do is seen", async () => {
  await using it = await place();
  const needs = async (cluster: Record<string, unknown>, user: unknown) => {
    const path = await it.write("config", kubeconfig("https://x.example", cluster, user));
    return (await loadKubeconfig(path)).needsKubectl;
  };
  assertEquals(await needs({ "insecure-skip-tls-verify": false }, { token: "t" }), undefined);
  assertEquals(await needs({ "insecure-skip-tls-verify": true }, {}), "insecure-skip-tls-verify");
  assertEquals(await needs({ "tls-server-name": "other" }, {}), "tls-server-name");
  assertEquals(await needs({ "proxy-url": "http://proxy" }, {}), "proxy-url");
  assertEquals(await needs({}, { exec: { command: "login" } }), "exec");
  assertEquals(await needs({}, { as: "somebody" }), "as");
});

Deno.test({
  name:
    "an exec plugin works through kubectl, with exec and watch, and no token is in its arguments",
  ignore: !hasKubectl || Deno.build.os === "windows",
  async fn() {
    await using server = FakeApiServer.start();
    server.create(pods("here"), { metadata: { name: "p" } });
    await using it = await place();
    const token = "token-of-the-fake";
    const plugin = await it.write(
      "plugin",
      `#!/bin/sh\nprintf '%s' '${
        JSON.stringify({
          apiVersion: "client.authentication.k8s.io/v1",
          kind: "ExecCredential",
          status: { token },
        })
      }'\n`,
    );
    await Deno.chmod(plugin, 0o700);
    const path = await it.write(
      "config",
      kubeconfig(server.url, { "certificate-authority-data": btoa(authority) }, {
        exec: {
          apiVersion: "client.authentication.k8s.io/v1",
          command: plugin,
          interactiveMode: "Never",
        },
      }),
    );
    let folder: string;
    {
      await using configuration = await loadConfiguration({ ...it.options, kubeconfig: path });
      assertEquals(configuration.server, server.url);
      assertEquals(configuration.namespace, "here");
      const { socketPath, authorization } = await configuration.credentials();
      assertEquals(authorization, undefined);
      folder = join(socketPath!, "..");
      if (Deno.build.os === "linux") {
        assertEquals((await Deno.stat(folder)).mode! & 0o777, 0o700);
        for await (const { name } of Deno.readDir("/proc")) {
          if (!/^\d+$/.test(name)) continue;
          const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
          assert(!(line.includes(socketPath!) && line.includes(token)), line);
        }
      }
      using client = new KubernetesClient(configuration, { backOff: 1 });
      assertEquals((await client.get<Pod>(pods("here", "p"))).metadata?.name, "p");
      server.onExec = async (running) => {
        const bytes = await new Response(running.stdin).bytes();
        running.stdout(bytes);
        running.exit(4);
      };
      using execution = exec(client, "here", "p", { command: ["cat"], stdin: "hello" });
      assertEquals(await new Response(execution.stdout).text(), "hello");
      assertEquals(await execution.status, { exitCode: 4 });
      await using mirror = new Mirror<Pod>(client, pods("here"), { backOff: 1 });
      await mirror.ready;
      server.create(pods("here"), { metadata: { name: "q" } });
      await mirror.wait((all) => all.get("q"));
    }
    await assertRejects(() => Deno.stat(folder), Deno.errors.NotFound);
  },
});

Deno.test("without kubectl it is said what needs it", async () => {
  await using it = await place();
  const path = await it.write(
    "config",
    kubeconfig("https://x.example", { "insecure-skip-tls-verify": true }, { token: "t" }),
  );
  const program = `
    import { loadConfiguration } from ${
    JSON.stringify(new URL("../../../lib/kubernetes/api/configuration.ts", import.meta.url).href)
  };
    await loadConfiguration({ kubeconfig: ${JSON.stringify(path)} }).catch((error) => {
      console.log(error.message);
      console.log(error.suggestion);
    });
  `;
  const root = new URL("../../..", import.meta.url).pathname;
  const script = await it.write("program.ts", program);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", `--config=${root}/deno.json`, "--allow-run=mamba,kubectl"]
      .concat(["--allow-read", "--allow-write", "--allow-net", "--allow-env", script]),
    env: { PATH: it.folder },
  }).output();
  const said = new TextDecoder().decode(stdout);
  assertStringIncludes(
    said,
    "insecure-skip-tls-verify needs kubectl, which is not there",
    new TextDecoder().decode(stderr),
  );
  assertStringIncludes(said, "Install kubectl");
});
