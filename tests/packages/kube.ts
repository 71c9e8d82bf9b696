/** A real kube-apiserver with its etcd on this machine: no nodes, nothing runs, but what it takes is valid. */
import { join } from "@std/path";
import { stackPaths } from "../stack/stack.ts";
import type { Manifest } from "./schema.ts";
import { Folder } from "./support.ts";

const TOKEN = "token-of-the-tests";

/** How long it may take to start on a busy machine (milliseconds). */
const START_MS = 180_000;

/** Plural names, as they stand in addresses. */
const PLURALS: Record<string, string> = { NetworkPolicy: "networkpolicies" };

/** A running API server. */
export class KubeServer implements AsyncDisposable {
  readonly #client: Deno.HttpClient;
  readonly #stack: AsyncDisposableStack;
  readonly #url: string;

  private constructor(url: string, client: Deno.HttpClient, stack: AsyncDisposableStack) {
    this.#url = url;
    this.#client = client;
    this.#stack = stack;
  }

  /** Starts one, and waits until it answers. */
  static async start(): Promise<KubeServer> {
    const stack = new AsyncDisposableStack();
    try {
      const folder = stack.use(await Folder.make("kube-"));
      const [etcd, peer, port] = [freePort(), freePort(), freePort()];
      const bin = join(stackPaths.tools, "kube");
      await folder.write("tokens.csv", `${TOKEN},admin,1,"system:masters"\n`);
      const etcdAddress = `http://127.0.0.1:${etcd}`;
      spawn(stack, join(bin, "etcd"), [
        `--data-dir=${join(folder.path, "etcd")}`,
        ...[`--listen-client-urls=${etcdAddress}`, `--advertise-client-urls=${etcdAddress}`],
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
        "--unsafe-no-fsync",
      ]);
      // A key of the tests' own signs tokens of service accounts, of which there are none.
      const keys = await keyPair();
      const signing = await folder.write("signing.pem", keys.signing);
      const key = await folder.write("key.pem", keys.verifying);
      const ended = spawn(stack, join(bin, "kube-apiserver"), [
        `--etcd-servers=${etcdAddress}`,
        ...[`--secure-port=${port}`, "--bind-address=127.0.0.1"],
        `--cert-dir=${join(folder.path, "certificates")}`,
        `--token-auth-file=${join(folder.path, "tokens.csv")}`,
        ...["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"],
        "--service-cluster-ip-range=10.0.0.0/24",
        ...["--service-account-issuer=https://kube.example.org"],
        ...[`--service-account-key-file=${key}`, `--service-account-signing-key-file=${signing}`],
      ]);
      const certificate = join(folder.path, "certificates", "apiserver.crt");
      const deadline = performance.now() + START_MS;
      for (;;) {
        const caCerts = await Deno.readTextFile(certificate).then(
          (text) => [text],
          () => undefined,
        );
        if (caCerts !== undefined) {
          const client = Deno.createHttpClient({ caCerts });
          const server = new KubeServer(`https://127.0.0.1:${port}`, client, stack);
          const ready = await server.#ask("GET", "/readyz").then(({ code }) => code === 200)
            .catch(() => false);
          if (ready) {
            stack.defer(() => client.close());
            return server;
          }
          client.close();
        }
        if (ended.over || performance.now() > deadline) {
          throw new Error(`Cannot start kube-apiserver: ${ended.said.slice(-3000)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  async #ask(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ code: number; text: string }> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      client: this.#client,
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { code: response.status, text: await response.text() };
  }

  /** Creates an object; with `dryRun` only as far as it can be without being kept. Gives what is wrong, or nothing. */
  async create(
    manifest: Manifest,
    { dryRun = true, namespace = "hypha" } = {},
  ): Promise<string | undefined> {
    const { apiVersion, kind } = manifest;
    const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
    const inside = ["Namespace", "CustomResourceDefinition"].includes(kind)
      ? ""
      : `/namespaces/${manifest.metadata.namespace ?? namespace}`;
    const query = `?fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`;
    const { code, text } = await this.#ask("POST", `${root}${inside}/${plural}${query}`, manifest);
    return code === 201 ? undefined : `${kind} ${manifest.metadata.name}: ${code} ${text}`;
  }

  /** Whether a kind is served yet. */
  async serves(path: string): Promise<boolean> {
    return (await this.#ask("GET", path)).code === 200;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return listener.addr.port;
}

/** Starts a program that is ended with the stack. What it says is kept. */
function spawn(stack: AsyncDisposableStack, program: string, args: string[]) {
  const child = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const state = { over: false, said: "" };
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      state.said = (state.said + text).slice(-20_000);
    }
  })();
  const status = child.status.then(() => state.over = true);
  stack.defer(async () => {
    if (!state.over) child.kill("SIGKILL");
    await status;
    await reading;
  });
  return state;
}

/** A new pair of keys, as PEM. */
async function keyPair(): Promise<{ signing: string; verifying: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  return {
    signing: pem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", pair.privateKey)),
    verifying: pem("PUBLIC KEY", await crypto.subtle.exportKey("spki", pair.publicKey)),
  };
}

function pem(label: string, bytes: ArrayBuffer): string {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/.{64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${text}\n-----END ${label}-----\n`;
}
