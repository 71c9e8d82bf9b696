/**
 * Methods that look after environments. Tenants share them without knowing of each other, so only members of the
 * worker's own workspace see what there is, only its administrators remove, and whoever may start sessions creates.
 */
import { EXPORT_FORMATS, type ExportFormat } from "../environments/export.ts";
import { NOTHING_LOCAL } from "../environments/policy.ts";
import { WorkerError } from "../errors.ts";
import { checkMember, checkOperator, checkStart } from "./access.ts";
import { environmentDetails, environmentInfo, pruneInfo } from "./environment_results.ts";
import type { Arguments, Call, Method, Parameter } from "./method.ts";
import type { MethodContext } from "./method_support.ts";
import { PROGRESS, progressOf } from "./parameters.ts";
import { artifactOf } from "./start_method.ts";
import {
  CHANNELS_SCHEMA,
  DEPENDENCIES_SCHEMA,
  ENVIRONMENT_SCHEMA,
  LOCK_SCHEMA,
} from "./start_schema.ts";
import { completeRequest, readManifest } from "./start_request.ts";

const DAY_MS = 86_400_000;
const ARTIFACT = /^[\w][\w.@:/-]{0,255}$/;

const KEY: Parameter = {
  name: "key",
  required: true,
  schema: {
    type: "string",
    description:
      "Key of the environment, as list_environments tells it, or a beginning no other has.",
    examples: ["3f0c9a41b2d7e586"],
  },
};

/** List, get, create, remove, prune. */
export function environmentMethods(context: MethodContext): Method[] {
  return [
    {
      name: "list_environments",
      description:
        "Lists the conda environments the worker keeps, the last used first. Returns a list of key, state (ready, building, broken), " +
        "dependencies and channels asked for, python, size and shared_size in bytes (shared ones are also in the " +
        "package cache or other environments), created, last_used, in_use and the pids of the workers that use it. " +
        "Only for members of the worker's workspace.",
      parameters: [],
      handler: async (_args, { caller }) => {
        checkMember(context.rules, caller, "list environments");
        return (await context.admin.list()).map(environmentInfo);
      },
    },
    {
      name: "get_environment",
      description:
        "Describes one environment. Returns what list_environments tells of it, all conda packages with versions, URLs and hashes, " +
        "and what pip installed. Only for members of the worker's workspace.",
      parameters: [KEY, {
        name: "export_format",
        schema: {
          type: "string",
          enum: EXPORT_FORMATS,
          description:
            'Adds "export": an environment.yml with exact versions (yaml), an @EXPLICIT ' +
            "lock file with hashes, which a manifest's lock takes (explicit), or everything that is known (json).",
        },
      }],
      handler: async (args, { caller }) => {
        checkMember(context.rules, caller, "look at environments");
        const details = await context.admin.get(args.key as string);
        const format = args.export_format as ExportFormat | undefined;
        return {
          ...environmentDetails(details),
          ...(format === undefined
            ? {}
            : { export: await context.admin.export(details.key, format) }),
        };
      },
    },
    create(context),
    {
      name: "remove_environment",
      description:
        "Removes an environment that nobody uses; one in use is refused with the pids of its users. It is built " +
        "again when a session asks for it. Returns {removed}: its key. Only for administrators of the worker's " +
        "workspace.",
      parameters: [KEY],
      handler: async (args, { caller }) => {
        checkOperator(context.rules, caller, "remove environments");
        const { key, prefix } = await context.admin.get(args.key as string);
        await context.worker.endIdle(prefix);
        await context.admin.remove(key);
        return { removed: key };
      },
    },
    {
      name: "prune_environments",
      description:
        "Removes environments beyond limits, the least recently used first, and broken ones; never those in use. " +
        "Without a limit only broken ones go. Returns {removed: [{key, reason, bytes}], package_bytes, in_use: " +
        "[{key, pids}], dry_run}. Only for administrators of the worker's workspace.",
      parameters: [
        {
          name: "max_count",
          schema: {
            type: "integer",
            minimum: 0,
            description: "Environments that may stay.",
            examples: [10],
          },
        },
        {
          name: "max_size",
          schema: {
            type: "number",
            minimum: 0,
            description: "Bytes the environments and the package cache may take together.",
            examples: [50_000_000_000],
          },
        },
        {
          name: "max_age",
          schema: {
            type: "number",
            minimum: 0,
            description: "Days after its last use an environment may stay.",
            examples: [30],
          },
        },
        {
          name: "all",
          schema: {
            type: "boolean",
            default: false,
            description: "Remove all that nobody uses, and packages no environment has.",
          },
        },
        {
          name: "dry_run",
          schema: {
            type: "boolean",
            default: false,
            description: "Only tell what would be removed.",
          },
        },
      ],
      handler: async (args, { caller }) => {
        checkOperator(context.rules, caller, "prune environments");
        const { max_count, max_size, max_age } = args as Record<string, number | undefined>;
        const dryRun = args.dry_run === true;
        if (!dryRun) await context.worker.endIdle();
        const result = await context.admin.prune({
          ...(max_count === undefined ? {} : { maxEnvironments: max_count }),
          ...(max_size === undefined ? {} : { maxBytes: max_size }),
          ...(max_age === undefined ? {} : { maxAge: max_age * DAY_MS }),
          all: args.all === true,
          dryRun,
        });
        return pruneInfo(result, dryRun);
      },
    },
  ];
}

function create(context: MethodContext): Method {
  return {
    name: "create_environment",
    description:
      "Makes the environment of a manifest ready before a session needs it, or finds it ready. Returns {key, cached, " +
      "python, manager, packages, pip}. A server completes the manifests of apps it installs: to prepare for such an " +
      "app give its manifest as compile returns it.",
    parameters: [
      {
        name: "manifest",
        required: true,
        schema: {
          type: "object",
          description: "An app's manifest, or as much of it as says what is in the environment.",
          properties: {
            dependencies: DEPENDENCIES_SCHEMA,
            channels: CHANNELS_SCHEMA,
            environment: ENVIRONMENT_SCHEMA,
            lock: LOCK_SCHEMA,
          },
          additionalProperties: true,
          examples: [{
            dependencies: ["python=3.11", "numpy", { pip: ["rich"] }],
            channels: ["conda-forge"],
          }],
        },
      },
      {
        name: "artifact_id",
        schema: {
          type: "string",
          description:
            "Artifact with the files that the manifest names, workspace/alias. The worker must be able to read it: it " +
            "is public, or of the worker's own workspace.",
          examples: ["my-workspace/my-app"],
        },
      },
      {
        name: "refresh",
        schema: {
          type: "boolean",
          default: false,
          description: "Ask the solver again although it refused the same a few minutes ago.",
        },
      },
      PROGRESS,
    ],
    handler: async (args, call) => {
      checkStart(context.rules, call.caller, call.caller.workspace, "create an environment");
      return await warmUp(context, args, call);
    },
  };
}

async function warmUp(
  context: MethodContext,
  args: Arguments,
  { caller, signal }: Call,
): Promise<Record<string, unknown>> {
  const artifactId = args.artifact_id as string | undefined;
  if (artifactId !== undefined && (!ARTIFACT.test(artifactId) || artifactId.includes(".."))) {
    throw new WorkerError(
      "invalid_argument",
      "Cannot create the environment: artifact_id must be workspace/alias",
      { context: { argument: "artifact_id" } },
    );
  }
  const manifest = args.manifest as Record<string, unknown>;
  const parts = readManifest(manifest, undefined, context.policy ?? NOTHING_LOCAL);
  const named = { artifactId, appId: undefined, token: undefined, serverUrl: undefined };
  const source = artifactOf(named, caller.workspace, context);
  const { spec } = await completeRequest({ ...parts, source }, signal);
  await using lease = await context.environments.acquire(spec, {
    signal,
    onProgress: progressOf(args),
    refresh: args.refresh === true,
    admit: (key) => context.worker.builds.enter(caller.workspace, key),
  });
  const { key, cached } = lease;
  if (spec.existing !== undefined) {
    return { key, cached, python: null, manager: null, packages: null, pip: null };
  }
  const { python, manager, packages, pip } = environmentDetails(await context.admin.get(key));
  return { key, cached, python, manager, packages, pip };
}
