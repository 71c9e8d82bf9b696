/**
 * A real Kubernetes cluster on this machine, for one test file: API server, etcd, controllers and scheduler are real,
 * its nodes run pods as processes of this machine. `control_plane/README.md` says what they can and what they cannot.
 *
 * The program goes with its processes and its files when this process ends, however it does.
 */
import { join } from "@std/path";
import { ControlPlaneProcess } from "./control_plane_process.ts";
import { limited, until } from "../wait.ts";
import { stackPaths } from "./stack.ts";

/** A node of the cluster. */
export interface TestNode {
  readonly name: string;
  readonly labels?: Record<string, string>;
  readonly taints?: { key: string; value?: string; effect: string }[];
  /** Besides 8 processors and 16 GiB of memory; for example `{"nvidia.com/gpu": "1"}`. */
  readonly capacity?: Record<string, string>;
}

/** What an image brings for containers that leave it out. */
export interface TestImage {
  readonly command?: string[];
  readonly args?: string[];
  readonly env?: Record<string, string>;
}

/** What {@linkcode ControlPlane.start} may be told. */
export interface ControlPlaneOptions {
  /** Further arguments of kube-apiserver. */
  readonly apiServerArgs?: string[];
  /** @default one node, `test-node`, with one GPU */
  readonly nodes?: TestNode[];
  /** Images by their exact name. */
  readonly images?: Record<string, TestImage>;
  /** How long the second restart of a container waits (milliseconds); the waiting doubles. @default 500 */
  readonly crashBackOff?: number;
}

/** A client certificate with its key, as PEM. */
export interface ClientCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** What {@linkcode ControlPlane.request} may be told. */
export interface RequestOptions {
  readonly body?: unknown;
  /** Who asks. @default the administrator */
  readonly token?: string;
  /** @default application/json */
  readonly contentType?: string;
  /** How long the whole answer may take to come (milliseconds). @default 20000 */
  readonly timeout?: number;
}

/** An answer of the API server. */
export interface ApiAnswer<T> {
  readonly status: number;
  readonly headers: Headers;
  /** The object of a JSON answer; a text as it is. */
  readonly body: T;
}

const PROGRAM = join(stackPaths.tools, "kube", "control-plane");

/** How long an answer may take (milliseconds): machines may be slow. */
const REQUEST_MS = 20_000;

let complained = false;

/**
 * A test that needs the control plane; ignored where there is none, which a line says that cannot be overlooked.
 */
export function controlPlaneTest(name: string, body: (test: Deno.TestContext) => Promise<void>) {
  const there = hasControlPlane();
  if (!there && !complained) {
    complained = true;
    console.error(
      "SKIPPED, NOTHING IS CHECKED against Kubernetes: run scripts/setup.sh kube (it needs Go)",
    );
  }
  Deno.test({ name, ignore: !there, fn: body });
}

/** Whether `scripts/setup.sh kube` has made the program. */
export function hasControlPlane(): boolean {
  try {
    return Deno.statSync(PROGRAM).isFile;
  } catch {
    return false;
  }
}

/** A running cluster; stop it, or hold it with `await using`. */
export class ControlPlane implements AsyncDisposable {
  /** Address of the API server, without a slash at the end; the same after a restart. */
  readonly url: string;
  /** The certificate of the authority that has signed those of all servers, as PEM. */
  readonly ca: string;
  /** Opens everything: a token of `system:masters`. */
  readonly token: string;
  /** Its files, which go with it: logs of the servers, and what pods write. */
  readonly directory: string;
  /** Trusts the authority. For a test's own requests: `fetch(url, {client})`. */
  readonly client: Deno.HttpClient;
  readonly #process: ControlPlaneProcess;

  private constructor(process: ControlPlaneProcess, { url, ca, token, directory }: Ready) {
    this.#process = process;
    this.url = url;
    this.ca = ca;
    this.token = token;
    this.directory = directory;
    this.client = Deno.createHttpClient({ caCerts: [ca] });
  }

  /** Starts a cluster, and resolves when pods can be made in the namespace `default`. */
  static async start(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const process = new ControlPlaneProcess(PROGRAM, { crashBackOff: 500, ...options });
    try {
      return new ControlPlane(process, await process.ready as Ready);
    } catch (error) {
      await process.stop();
      throw error;
    }
  }

  /** Ends everything it has started, and removes its files. */
  async stop(): Promise<void> {
    this.client.close();
    await this.#process.stop();
  }

  /** The same as {@linkcode stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Kills the API server, with controllers and scheduler; pods run on. Connections to it break. */
  async stopApiServer(): Promise<void> {
    await this.#process.ask({ do: "stop-api-server" });
  }

  /** Starts the API server again, at the same address with the same data. */
  async startApiServer(): Promise<void> {
    await this.#process.ask({ do: "start-api-server" });
  }

  /** Both, one after the other. */
  async restartApiServer(): Promise<void> {
    await this.stopApiServer();
    await this.startApiServer();
  }

  /**
   * Makes etcd forget all past states, so that a list or a watch from an older `resourceVersion` is 410 Expired.
   *
   * The API server answers watches from its own memory as long as it goes back far enough: what began before it started
   * is expired, hence it is restarted as well, unless `restart` is false.
   */
  async compactEtcd({ restart = true } = {}): Promise<void> {
    if (restart) await this.stopApiServer();
    await this.#process.ask({ do: "compact" });
    if (restart) await this.startApiServer();
  }

  /** What the processes have in memory (bytes). */
  async memory(): Promise<{ cluster: number; apiServer: number }> {
    return await this.#process.ask({ do: "memory" }) as { cluster: number; apiServer: number };
  }

  /** Makes a certificate which the API server takes for this user with these groups. */
  async clientCertificate(user: string, groups: string[] = []): Promise<ClientCertificate> {
    return await this.#process.ask({ do: "certificate", user, groups }) as ClientCertificate;
  }

  /** A kubeconfig: of the administrator, or of whoever has the token or the certificate. */
  kubeconfig(
    { token, certificate, namespace = "default" }: {
      token?: string;
      certificate?: ClientCertificate;
      namespace?: string;
    } = {},
  ): string {
    const user = certificate === undefined ? { token: token ?? this.token } : {
      "client-certificate-data": btoa(certificate.certificate),
      "client-key-data": btoa(certificate.key),
    };
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{
        name: "test",
        cluster: { server: this.url, "certificate-authority-data": btoa(this.ca) },
      }],
      users: [{ name: "test", user }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test", namespace } }],
      "current-context": "test",
    });
  }

  /**
   * One request, such as `request("GET", "/api/v1/namespaces/default/pods")`. Throws when no answer comes, and never
   * because of an answer.
   */
  async request<T = Record<string, unknown>>(
    method: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<ApiAnswer<T>> {
    const { body, token = this.token, contentType = "application/json" } = options;
    const { timeout = REQUEST_MS } = options;
    return await limited(`${method} ${path}`, timeout, async (signal) => {
      const response = await fetch(`${this.url}${path}`, {
        method,
        client: this.client,
        headers: { authorization: `Bearer ${token}`, "content-type": contentType },
        signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get("content-type")?.includes("json") ?? false;
      return {
        status: response.status,
        headers: response.headers,
        body: (isJson ? JSON.parse(text) : text) as T,
      };
    });
  }

  /** Makes an object that has to be taken: the path is that of its kind in its namespace. */
  async create<T = Record<string, unknown>>(path: string, body: T): Promise<T> {
    const answer = await this.request<T & { message?: string }>("POST", path, { body });
    if (answer.status !== 201) {
      throw new Error(`Cannot create in ${path}: ${answer.status} ${answer.body.message}`);
    }
    return answer.body;
  }

  /** Makes a namespace, and waits until pods can be made in it. Gives its name. */
  async namespace(name = `test-${crypto.randomUUID().slice(0, 8)}`): Promise<string> {
    await this.create("/api/v1/namespaces", { metadata: { name } });
    const account = `/api/v1/namespaces/${name}/serviceaccounts/default`;
    await until(
      async () => (await this.request("GET", account)).status === 200,
      `namespace ${name} has its service account`,
    );
    return name;
  }

  /**
   * A token of a service account, which is made unless it is there. It may do nothing until roles are bound to it,
   * which the API server knows a moment after they have been made.
   */
  async asServiceAccount(
    namespace: string,
    name: string,
    { expiresIn = 3600 }: { expiresIn?: number } = {},
  ): Promise<string> {
    const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    const made = await this.request("POST", accounts, { body: { metadata: { name } } });
    if (made.status !== 201 && made.status !== 409) {
      throw new Error(`Cannot make a service account: ${JSON.stringify(made.body)}`);
    }
    const answer = await this.create<{ status?: { token: string } }>(
      `${accounts}/${name}/token`,
      { spec: { expirationSeconds: expiresIn } } as { status?: { token: string } },
    );
    return answer.status!.token;
  }
}

interface Ready {
  readonly url: string;
  readonly ca: string;
  readonly token: string;
  readonly directory: string;
}
