/** `docs/kubernetes-manifest.md`, from the table of fields of the Kubernetes worker. */
import { type Field, FIELDS } from "../lib/kubernetes/jobs/fields.ts";
import type { Kind, Parts } from "../lib/kubernetes/jobs/kind.ts";
import { JOB_TYPES, type JobType } from "../lib/kubernetes/jobs/types.ts";

/** Makes a table of Markdown. */
export type Table = (head: string[], rows: string[][]) => string;

/** What a value must be, where its type does not say it already. */
function mustBe({ rule, schema, parts }: Kind<unknown>): string {
  const told = schema.enum !== undefined || parts !== undefined || rule === "true or false";
  return told ? "" : ` Must be ${rule}.`;
}

/** Rows of the fields of a mapping, with their paths. */
function partRows(path: string, parts: Parts): string[][] {
  return Object.entries(parts).flatMap(([name, { kind, description, required }]) => {
    const own = `${path}.${name}`;
    const rule = `${description}${mustBe(kind)}`;
    const row = [`\`${own}\`${required ? " (required)" : ""}`, kind.words, "", rule, "", ""];
    return [
      row,
      ...kind.parts === undefined ? [] : partRows(`${own}${kind.isList ? "[]" : ""}`, kind.parts),
    ];
  });
}

function fieldRows(name: string, field: Field): string[][] {
  const { kind } = field;
  const spellings = [name, ...field.also ?? []].map((spelling) => `\`${spelling}\``).join(" or ");
  const own = [
    `${spellings}${field.required === undefined ? "" : " (required)"}`,
    kind.words,
    field.default,
    `${field.description}${mustBe(kind)}`,
    field.target.split(/(, | and |; )/).map((part, index) =>
      index % 2 === 0 && /^[\w.[\]]*[.A-Z_][\w.[\]]*$/.test(part) ? `\`${part}\`` : part
    ).join(""),
    `\`${name}: ${JSON.stringify(field.example)}\``,
  ];
  return kind.parts === undefined
    ? [own]
    : [own, ...partRows(`${name}${kind.isList ? "[]" : ""}`, kind.parts)];
}

function title(types: readonly JobType[]): string {
  return types.length === JOB_TYPES.length
    ? "Fields of every type"
    : `Fields of ${types.map((type) => `\`${type}\``).join(" and ")}`;
}

/** The text between the heading and the tables. */
const INTRODUCTION = `
Apps for a worker that was started with \`hypha-conda-worker k8s\` have one of the types
${
  JOB_TYPES.map((type) => `\`${type}\``).join(", ")
}. Everything is checked before anything is made in the cluster; an
error names the field, says what it must be and what to do. Fields that Hypha itself keeps in manifests (\`name\`,
\`version\`, \`startup_config\`, …) are passed over, and so is what nobody knows, with a warning. A field that looks like a
mistyped one is refused. \`null\` counts as not given.

What a manifest may name or ask for, the operator of the worker decides: the options in the tables.

A job of your own:

\`\`\`yaml as=fragment
type: k8s-job
image: python:3.11
command: [python, -c, "print('Hello')"]
env:
  OMP_NUM_THREADS: 4
resources:
  limits: { cpu: 2, memory: 4Gi }
volumes:
  - mount_path: /scratch
    empty_dir: { size_limit: 10Gi }
timeout: 1800
\`\`\`

A Claude agent, which is there when the start is over:

\`\`\`yaml as=fragment
type: claude-agent
service_id: my-agent
wait_for_service: true
\`\`\`

A worker for conda apps, for members of the Kubernetes worker's own workspace:

\`\`\`yaml as=fragment
type: conda-worker
service_id: conda-1
cache:
  empty_dir: { size_limit: 50Gi }
resources:
  limits: { cpu: 8, memory: 32Gi }
\`\`\`
`;

const VARIABLES: string[][] = [
  [
    "`k8s-job`",
    "`HYPHA_SERVER_URL`, `HYPHA_WORKSPACE`, `HYPHA_CLIENT_ID`, `HYPHA_APP_ID`",
    "what the job's own connection to the server needs",
  ],
  [
    "`k8s-job`",
    "`HYPHA_TOKEN`",
    "the session's token, from a secret that goes with the job; absent where the operator switched it off or there is none",
  ],
  [
    "`claude-agent`",
    "`HYPHA_SERVER_URL`, `HYPHA_WORKSPACE`, `HYPHA_CLIENT_ID`, `SERVICE_ID`, `SERVICE_VISIBILITY`",
    "the operator's server, and what the manifest says",
  ],
  ["`claude-agent`", "`AGENT_BASE_DIRECTORY`, `AGENT_MAX_COUNT`", "`/workspace` and `1`"],
  ["`claude-agent`", "`ANTHROPIC_API_KEY`, `HYPHA_TOKEN`", "entries of the secret `secret_name`"],
  [
    "`conda-worker`",
    "`HYPHA_SERVER_URL`, `HYPHA_WORKSPACE`, `HYPHA_CLIENT_ID`, `HYPHA_SERVICE_ID`, `HYPHA_VISIBILITY`, `HYPHA_VERBOSE`",
    "options of `hypha-conda-worker start`",
  ],
  ["`conda-worker`", "`HYPHA_TOKEN`", "the token for workers, from a secret of the operator"],
];

/** The document, without its mark. */
export function kubernetesManifest(table: Table): string {
  const groups = new Map<string, string[][]>();
  for (const [name, field] of Object.entries<Field>(FIELDS)) {
    const head = title(field.types);
    groups.set(head, [...groups.get(head) ?? [], ...fieldRows(name, field)]);
  }
  const columns = ["Field", "Type", "Default", "Meaning", "Goes to", "Example"];
  const sections = [...groups].map(([head, rows]) => `## ${head}\n\n${table(columns, rows)}`);
  return `# The manifest of a Kubernetes app
${INTRODUCTION}
${sections.join("\n\n")}

## Variables of the containers

${table(["Type", "Variables", "Hold"], VARIABLES)}
`;
}
