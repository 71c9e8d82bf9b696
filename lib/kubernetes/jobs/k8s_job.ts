/** `k8s-job`: an image and a command of the user's. */
import type { Plan, PlanInput } from "./plan.ts";
import { exampleOf } from "./fields.ts";
import { resourcesOf } from "./resources.ts";
import { environment, literal, type Variable, variables } from "./variables.ts";

/** Entry of a session's secret that holds its token. */
export const TOKEN_KEY = "HYPHA_TOKEN";

/** Plans the pod of a `k8s-job`. */
export function planJob({ request, values, scope }: PlanInput): Plan {
  const { settings } = scope;
  const overrides = variables.read(
    request.envOverrides ?? {},
    { path: "config.env", example: exampleOf("env") },
    scope,
  );
  const given = new Map([...values.env ?? [], ...overrides]);
  // A secret is made only for a variable that will be read from it.
  const wanted = settings.sessionTokens && !given.has(TOKEN_KEY);
  const token = wanted && request.token !== "" ? request.token : undefined;
  const standard = new Map<string, Variable>([
    ["HYPHA_SERVER_URL", literal(request.serverUrl)],
    ["HYPHA_WORKSPACE", literal(request.workspace)],
    ["HYPHA_CLIENT_ID", literal(request.clientId)],
    ["HYPHA_APP_ID", literal(request.appId ?? request.clientId)],
  ]);
  if (token !== undefined) {
    standard.set(TOKEN_KEY, {
      valueFrom: { secretKeyRef: { name: request.name, key: TOKEN_KEY } },
    });
  }
  const resources = resourcesOf(
    asked(values),
    settings.defaultResources,
    settings.maxResources,
    { path: "manifest.resources", example: exampleOf("resources") },
  );
  const volumes = values.volumes ?? [];
  return {
    workspace: request.workspace,
    ownService: `${request.workspace}/${request.clientId}:default`,
    waits: false,
    operatorSecrets: false,
    ...(token === undefined ? {} : { token }),
    pod: {
      restartPolicy: values.restart_policy ?? "Never",
      volumes: volumes.map(({ volume }) => volume),
      deadline: values.timeout ??
        Math.min(settings.defaultTimeout, settings.maxTimeout ?? Infinity),
      privileged: values.privileged ?? false,
      hostNetwork: values.host_network ?? false,
      imagePullSecrets: values.image_pull_secrets ?? [],
      ...(values.service_account === undefined ? {} : { serviceAccount: values.service_account }),
      container: {
        name: "main",
        image: values.image!,
        imagePullPolicy: values.image_pull_policy ?? settings.imagePullPolicy,
        ...(values.command === undefined || values.command.length === 0
          ? {}
          : { command: values.command }),
        ...(values.args === undefined || values.args.length === 0 ? {} : { args: values.args }),
        ...(values.working_dir === undefined ? {} : { workingDir: values.working_dir }),
        env: environment(standard, given),
        ...(resources === undefined ? {} : { resources }),
        ...(volumes.length === 0 ? {} : { volumeMounts: volumes.map(({ mount }) => mount) }),
      },
    },
  };
}

/** What a manifest asks for in `resources` and `gpu`. */
export function asked(values: PlanInput["values"]): Parameters<typeof resourcesOf>[0] {
  const { requests, limits, gpu: inner } = values.resources ?? {};
  const gpu = values.gpu ?? inner;
  return {
    ...(requests === undefined ? {} : { requests }),
    ...(limits === undefined ? {} : { limits }),
    ...(gpu === undefined ? {} : { gpu }),
  };
}
