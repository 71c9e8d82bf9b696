/** `claude-agent`: an agent that is reached as a Hypha service. */
import { exampleOf } from "./fields.ts";
import { asked } from "./k8s_job.ts";
import type { Plan, PlanInput } from "./plan.ts";
import { resourcesOf } from "./resources.ts";
import { environment, literal, type Variable } from "./variables.ts";
import { emptyDirOf } from "./volumes.ts";

const DIRECTORY = "/workspace";
const USER = 1000;

/** Plans the pod of a `claude-agent`. */
export function planAgent({ request, values, scope }: PlanInput): Plan {
  const { settings } = scope;
  const workspace = values.workspace ?? settings.workspace;
  const serviceId = values.service_id ?? "claude-agents";
  const secret = values.secret_name ?? settings.agentSecret;
  const from = (key: string): Variable => ({ valueFrom: { secretKeyRef: { name: secret, key } } });
  const resources = resourcesOf(asked(values), settings.agentResources, settings.maxResources, {
    path: "manifest.resources",
    example: exampleOf("resources"),
  });
  return {
    workspace,
    ownService: `${workspace}/${serviceId}`,
    waits: false,
    operatorSecrets: true,
    pod: {
      restartPolicy: "OnFailure",
      user: USER,
      volumes: [{
        name: "workspace",
        emptyDir: emptyDirOf({}, settings.maxResources, { path: "manifest", example: "" }),
      }],
      ...(values.timeout === undefined ? {} : { deadline: values.timeout }),
      container: {
        name: "claude-agent",
        image: settings.agentImage,
        imagePullPolicy: settings.imagePullPolicy,
        env: environment(
          new Map([
            // Not the address that the caller names: the operator's token goes there.
            ["HYPHA_SERVER_URL", literal(settings.serverUrl)],
            ["HYPHA_WORKSPACE", literal(workspace)],
            ["HYPHA_CLIENT_ID", literal(request.clientId)],
            ["SERVICE_ID", literal(serviceId)],
            ["SERVICE_VISIBILITY", literal(values.visibility ?? "protected")],
            ["AGENT_BASE_DIRECTORY", literal(DIRECTORY)],
            ["AGENT_MAX_COUNT", literal("1")],
            ["ANTHROPIC_API_KEY", from("ANTHROPIC_API_KEY")],
            ["HYPHA_TOKEN", from("HYPHA_TOKEN")],
          ]),
        ),
        ...(resources === undefined ? {} : { resources }),
        volumeMounts: [{ name: "workspace", mountPath: DIRECTORY }],
      },
    },
  };
}
