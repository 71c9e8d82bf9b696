/** What `start` takes, told to people and to programs that choose arguments by it. */
import type { JsonSchema } from "../../worker/method.ts";
import { JOB_TYPES } from "../jobs/types.ts";

const text = (description: string, example: string): JsonSchema => ({
  type: "string",
  description,
  examples: [example],
});

/** The `config` of `start`. */
export const START_CONFIG: JsonSchema = {
  type: "object",
  description: "What to start.",
  properties: {
    id: text("Session id. Default: workspace/client_id.", "my-session"),
    workspace: text(
      "Workspace of the session. Default: the caller's own, which it must be for direct callers.",
      "my-workspace",
    ),
    client_id: text("Client id for the program's own connection.", "my-session-client"),
    app_id: text("The app.", "my-app"),
    server_url: text(
      "Server the program connects to, unless the operator has said which.",
      "https://hypha.aicell.io",
    ),
    token: text(
      "Token for the program's own connection; it reaches the pod as a secret.",
      "a-token-of-the-workspace",
    ),
    env: {
      type: "object",
      description: "Environment variables of this start; they go before those of the manifest.",
      additionalProperties: true,
      examples: [{ RATE: "0.5" }],
    },
    manifest: {
      type: "object",
      description: `The app's manifest. Its fields are those of its type: ${JOB_TYPES.join(", ")}.`,
      additionalProperties: true,
      examples: [{ type: "k8s-job", image: "python:3.11", command: ["python", "-V"] }],
    },
  },
  additionalProperties: true,
  examples: [{
    manifest: {
      type: "k8s-job",
      image: "python:3.11",
      command: ["python", "-c", "print('Hello from K8s Job!')"],
    },
  }],
};
