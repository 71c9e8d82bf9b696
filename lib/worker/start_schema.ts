/** What `start` takes, told to people and to programs that choose arguments by it. */
import type { JsonSchema } from "./method.ts";
import { SUPPORTED_TYPES } from "./start_request.ts";

const DEPENDENCIES = ["python=3.11", "numpy", { pip: ["rich"] }];

/** Conda specs and pip requirements of a manifest. */
export const DEPENDENCIES_SCHEMA: JsonSchema = {
  type: "array",
  description: 'Conda specs, and {"pip": […]} for pip requirements.',
  items: {
    anyOf: [
      { type: "string", description: "A conda spec.", examples: ["numpy>=1.26"] },
      { type: "object", description: 'Requirements of pip: {"pip": ["rich"]}.' },
    ],
    description: 'A conda spec, or {"pip": […]}.',
  },
  examples: [DEPENDENCIES],
};

/** Channels of a manifest. */
export const CHANNELS_SCHEMA: JsonSchema = {
  anyOf: [
    {
      type: "array",
      description: "Channels.",
      items: { type: "string", description: "Name or URL of a channel.", examples: ["bioconda"] },
    },
    { type: "string", description: "One channel." },
  ],
  description: "Conda channels, most important first.",
  examples: [["conda-forge", "bioconda"]],
};

/** An environment.yml of a manifest, or an environment of the machine. */
export const ENVIRONMENT_SCHEMA: JsonSchema = {
  anyOf: [
    { type: "string", description: "Content of an environment.yml, or the name of a file." },
    { type: "object", description: "The same as an object, or name or prefix." },
  ],
  description:
    'Content of an environment.yml, the name of one among the app\'s files, or {"name": …} or {"prefix": …} ' +
    "of an environment of the worker's machine that its operator allows.",
  examples: ["environment.yml"],
};

/** A lock file of a manifest. */
export const LOCK_SCHEMA: JsonSchema = {
  anyOf: [
    { type: "string", description: "Content of a lock file, or the name of one." },
    { type: "array", description: "Its lines.", items: { type: "string", description: "A line." } },
  ],
  description: "An @EXPLICIT lock file with hashes, or the name of one among the app's files.",
  examples: ["conda.lock"],
};

/** An object with some known fields. */
export function object(
  description: string,
  properties: Record<string, JsonSchema> = {},
): JsonSchema {
  return { type: "object", description, properties, additionalProperties: true };
}

const text = (description: string, example: string): JsonSchema => ({
  type: "string",
  description,
  examples: [example],
});

function list(description: string, item: string, examples: readonly string[]): JsonSchema {
  return {
    type: "array",
    description,
    items: { type: "string", description: item, examples: [examples[0]] },
    examples: [examples],
  };
}

/** The `config` of `start`. */
export const START_CONFIG: JsonSchema = {
  ...object("What to start.", {
    id: text("Session id. Default: workspace/client_id.", "my-session"),
    workspace: text(
      "Workspace of the session. Default: the caller's own, which it must be for direct callers.",
      "my-workspace",
    ),
    client_id: text("Client id for the session's own connection.", "my-session-client"),
    app_id: text("The app; its artifact holds script and files.", "my-app"),
    artifact_id: text(
      "Artifact of the app, workspace/alias or workspace/alias@version.",
      "my-workspace/my-app",
    ),
    version: text('Version of the artifact; "stage" for changes that are not committed.', "v1"),
    server_url: text("Server the session connects to.", "https://hypha.aicell.io"),
    token: text(
      "Token for the session's own connection, and for private files of the app.",
      "a-token-of-the-workspace",
    ),
    entry_point: text("Script to run at start, a path in the artifact.", "main.py"),
    timeout: {
      type: "number",
      description: "Seconds the entry script is waited for before it goes on in the session.",
      default: 60,
    },
    manifest: object("The app's manifest.", {
      type: text(`Type of the app: ${SUPPORTED_TYPES.join(" or ")}.`, SUPPORTED_TYPES[0]),
      dependencies: DEPENDENCIES_SCHEMA,
      channels: CHANNELS_SCHEMA,
      environment: ENVIRONMENT_SCHEMA,
      lock: LOCK_SCHEMA,
      files_to_stage: list(
        'Files of the artifact: "a.csv", "folder/", "from:to", "from/:to/".',
        "A file, a folder with a slash at its end, or either with another name.",
        ["data.csv", "models/", "raw/:data/"],
      ),
      files_to_save: list(
        'Files of the session that go into the artifact when it ends: "out.csv", "results/", "from:to", ' +
          '"results/*.csv".',
        "A file, a folder with a slash at its end, a pattern, or one of them with another name.",
        ["out.csv", "results/*.csv:tables/"],
      ),
      env: {
        ...object("Environment variables; devices only among those of the worker."),
        examples: [{ OMP_NUM_THREADS: "4" }],
      },
      limits: {
        ...object("Limits of each process: memory, cpu_time, processes, open_files, file_size."),
        examples: [{ memory: "4GiB", cpu_time: 3600 }],
      },
      idle_timeout: {
        type: "number",
        description: "Seconds without executions after which the session ends.",
        examples: [3600],
      },
      max_lifetime: {
        type: "number",
        description: "Seconds after which the session ends.",
        examples: [86400],
      },
    }),
  }),
  examples: [{
    id: "my-session",
    manifest: { dependencies: DEPENDENCIES, channels: ["conda-forge"] },
  }],
};
