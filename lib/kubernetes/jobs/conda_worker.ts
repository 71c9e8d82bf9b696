/** `conda-worker`: this very program as a worker for conda apps, so that a cluster has as many as it needs. */
import type { Volume, VolumeMount } from "../api/types.ts";
import { exampleOf } from "./fields.ts";
import { asked } from "./k8s_job.ts";
import { shortHash } from "./names.ts";
import type { Plan, PlanInput } from "./plan.ts";
import { refused } from "./problems.ts";
import { resourcesOf } from "./resources.ts";
import { environment, literal, type Variable } from "./variables.ts";
import { emptyDirOf } from "./volumes.ts";

const USER = 8877;

/** Plans the pod of a `conda-worker`. Throws `permission_denied` for tenants: it has the operator's token. */
export function planCondaWorker({ request, values, scope }: PlanInput): Plan {
  const { settings, operator } = scope;
  const trusted = [settings.workspace, ...settings.trustedWorkspaces];
  if (!operator && !trusted.includes(request.workspace)) {
    throw refused(
      { path: "manifest.type", example: exampleOf("type") },
      `only members of workspace ${settings.workspace} may start a conda-worker`,
      "Ask the operator to start one, or to authorise your workspace.",
    );
  }
  const workspace = values.workspace ?? settings.workspace;
  const serviceId = values.service_id ?? `conda-worker-${shortHash(request.sessionId, 8)}`;
  const { name, key } = settings.condaToken;
  const resources = resourcesOf(asked(values), settings.condaResources, settings.maxResources, {
    path: "manifest.resources",
    example: exampleOf("resources"),
  });
  const { mounts, volumes } = directories({ request, values, scope });
  return {
    workspace,
    // By its client id: several workers may be in one workspace.
    ownService: `${workspace}/${request.clientId}:${serviceId}`,
    waits: true,
    operatorSecrets: true,
    pod: {
      restartPolicy: "Never",
      user: USER,
      readOnlyRoot: true,
      volumes,
      ...(values.timeout === undefined ? {} : { deadline: values.timeout }),
      container: {
        name: "conda-worker",
        image: settings.condaImage,
        imagePullPolicy: settings.imagePullPolicy,
        // Everything else is said by variables: arguments can be read by whoever sees the list of processes.
        args: ["start"],
        env: environment(
          new Map<string, Variable>([
            ["HYPHA_SERVER_URL", literal(settings.serverUrl)],
            ["HYPHA_WORKSPACE", literal(workspace)],
            ["HYPHA_CLIENT_ID", literal(request.clientId)],
            ["HYPHA_SERVICE_ID", literal(serviceId)],
            ["HYPHA_VISIBILITY", literal(values.visibility ?? "protected")],
            ["HYPHA_VERBOSE", literal(String(values.verbose ?? true))],
            ["HYPHA_TOKEN", { valueFrom: { secretKeyRef: { name, key } } }],
          ]),
        ),
        ...(resources === undefined ? {} : { resources }),
        volumeMounts: mounts,
      },
    },
  };
}

/** What the image writes: environments, sessions, and temporary files. */
function directories({ values, scope }: PlanInput): { volumes: Volume[]; mounts: VolumeMount[] } {
  const ceilings = scope.settings.maxResources;
  const own = { path: "manifest.cache.empty_dir", example: exampleOf("cache") };
  const { claim, empty_dir: emptyDir = {}, sub_path: subPath } = values.cache ?? {};
  return {
    volumes: [
      {
        name: "cache",
        ...(claim === undefined
          ? { emptyDir: emptyDirOf(emptyDir, ceilings, own) }
          : { persistentVolumeClaim: { claimName: claim } }),
      },
      { name: "work", emptyDir: emptyDirOf({}, ceilings, own) },
      { name: "tmp", emptyDir: emptyDirOf({}, ceilings, own) },
    ],
    mounts: [
      { name: "cache", mountPath: "/cache", ...(subPath === undefined ? {} : { subPath }) },
      { name: "work", mountPath: "/work" },
      { name: "tmp", mountPath: "/tmp" },
    ],
  };
}
