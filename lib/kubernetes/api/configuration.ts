/** Finds out where Kubernetes' API is and who we are. */
import { join } from "@std/path";
import { WorkerError } from "../../errors.ts";
import type { Configuration } from "./credentials.ts";
import { FileConfiguration, type Settings } from "./file_configuration.ts";
import { loadKubeconfig } from "./kubeconfig.ts";
import { KubectlConfiguration } from "./kubectl.ts";

/** Options of {@linkcode loadConfiguration}. */
export interface ConfigurationOptions {
  /** A kubeconfig file; with several, separated as in `PATH`, what stands first wins. @default `KUBECONFIG` */
  readonly kubeconfig?: string | undefined;
  /** One of the kubeconfig's contexts. @default its current one */
  readonly context?: string | undefined;
  /** The environment. @default the process's */
  readonly env?: { get(name: string): string | undefined };
  /** Where a pod finds its service account. */
  readonly serviceAccount?: string;
}

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * Reads the configuration: the kubeconfig that is named by an option or by `KUBECONFIG`; or else the service account
 * of the pod that this runs in; or else `~/.kube/config`.
 *
 * What the runtime cannot do itself (exec plugins, addresses whose certificate is not to be checked or has another
 * name, proxies, impersonation) goes through `kubectl proxy` on a private socket, when `kubectl` is there.
 *
 * @throws WorkerError `connection_failed` when there is none, or it cannot be used
 */
export async function loadConfiguration(
  options: ConfigurationOptions = {},
): Promise<Configuration> {
  const env = options.env ?? Deno.env;
  const named = options.kubeconfig ?? env.get("KUBECONFIG");
  if (!named && options.context === undefined) {
    const own = await inCluster(options.serviceAccount ?? SERVICE_ACCOUNT, env);
    if (own !== undefined) return own;
  }
  const home = env.get("HOME") ?? env.get("USERPROFILE");
  const files = named || (home === undefined ? "" : join(home, ".kube", "config"));
  if (files === "") throw nothing("neither a service account nor a kubeconfig is there");
  const read = () => loadKubeconfig(files, options.context);
  const found = await read().catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    if (named) throw nothing(`there is no kubeconfig ${files}`);
    throw nothing(`this is no pod with a service account, and there is no ${files}`);
  });
  if (found.needsKubectl !== undefined) {
    return await KubectlConfiguration.start(found, { files, context: options.context });
  }
  return await FileConfiguration.open(found.source, found.namespace, async () => {
    const { settings, needsKubectl } = await read();
    if (needsKubectl === undefined) return settings;
    throw new WorkerError("connection_failed", `Cannot use ${files}: it now needs kubectl`, {
      suggestion: "Start the worker again.",
    });
  });
}

/** What a pod knows of itself; `undefined` when this is none, or it may not know. */
async function inCluster(
  folder: string,
  env: { get(name: string): string | undefined },
): Promise<Configuration | undefined> {
  const host = env.get("KUBERNETES_SERVICE_HOST");
  if (!host) return undefined;
  const text = async (name: string) => (await Deno.readTextFile(join(folder, name))).trim();
  if (!await text("token").then((token) => token !== "", () => false)) return undefined;
  const port = env.get("KUBERNETES_SERVICE_PORT") || "443";
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const namespace = await text("namespace").catch(() => "") || "default";
  const read = async (): Promise<Settings> => ({
    server,
    token: await text("token"),
    tls: { caCerts: [await text("ca.crt")] },
  });
  return await FileConfiguration.open("the pod's service account", namespace, read);
}

function nothing(reason: string): WorkerError {
  return new WorkerError("connection_failed", `Cannot find Kubernetes: ${reason}`, {
    suggestion:
      "Run the worker in a pod with a service account, or name a kubeconfig with --kubeconfig or KUBECONFIG.",
  });
}
