/** Reads a manifest with the table of fields. */
import { exampleOf, type Field, type FieldName, FIELDS, type Values } from "./fields.ts";
import { isMapping, meantBy, type Scope } from "./kind.ts";
import { invalid, misplaced, type Place, refused } from "./problems.ts";
import { JOB_TYPES, type JobType } from "./types.ts";

/** Most fields of a manifest; more are no manifest. */
const MAX_FIELDS = 500;
/** Most warnings; further fields are counted. */
const MAX_WARNINGS = 10;

/** Fields that Hypha itself puts into manifests, or that mean something to its app controller. */
const HYPHA_FIELDS: ReadonlySet<string> = new Set(
  ("id name description version format_version api_version icon tags documentation covers badges authors " +
    "attachments files config links maintainers license git_repo source source_hash passive dependencies " +
    "requirements channels entry_point entry_script scripts services service_ids daemon singleton worker_managed autoscaling " +
    "startup_config startup_context service_selection_mode created_by created_at owners alias parent_id app_id " +
    "artifact_id collection disabled lazy stop_after_inactive files_to_stage files_to_save").split(
      " ",
    ),
);

/** What manifests of pods have elsewhere and never have here. */
const NEVER: Readonly<Record<string, string>> = {
  env_from: "Name each variable: env: {NAME: {secret: S, key: K}}.",
  security_context: "Leave it out; the worker sets the rights of containers.",
  capabilities: "Leave it out; the worker sets the rights of containers.",
  host_pid: "Leave it out; pods cannot have processes of their node.",
  host_ipc: "Leave it out; pods cannot have memory of their node.",
  host_path: "Use volumes with claim or empty_dir.",
  host_port: "Leave it out; jobs are reached through their Hypha service.",
  ports: "Leave it out; jobs are reached through their Hypha service.",
  init_containers: "Use one image that does all of it.",
  containers: "Use image, command and args.",
  spec: "Use image, command and the other fields of this worker.",
  template: "Use image, command and the other fields of this worker.",
  affinity: "Use node_selector.",
  node_name: "Use node_selector.",
  priority_class_name: "Leave it out; the operator decides about priorities.",
  runtime_class_name: "Leave it out; the operator decides about runtimes.",
  automount_service_account_token: "Leave it out; pods never get the token of a service account.",
  parallelism: "Start several sessions.",
  completions: "Start several sessions.",
};

const names = Object.keys(FIELDS) as FieldName[];
const fieldOf = (name: FieldName): Field => FIELDS[name];
/** Every name a field may be written under. */
const spelled = new Map<string, FieldName>(
  names.flatMap((name) =>
    [name, ...fieldOf(name).also ?? []].map((spelling) => [spelling, name] as const)
  ),
);
/** Names of other programs, without their capitals. */
const elsewhere = new Map<string, FieldName>(
  names.flatMap((name) => (fieldOf(name).elsewhere ?? []).map((other) => [other, name] as const)),
);

/** A manifest, read. */
export interface ReadManifest {
  readonly type: JobType;
  readonly values: Values;
  readonly warnings: readonly string[];
}

function place(spelling: string, name: FieldName): Place {
  return { path: `manifest.${spelling}`, example: exampleOf(name) };
}

/** `workingDir` and `working-dir` as `working_dir`. */
function snake(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => `_${letters.toLowerCase()}`).replaceAll("-", "_")
    .replace(/^_/, "");
}

/** Refuses a field that is not known where something can be said about it; `true` when it is passed over. */
function checkUnknown(name: string, type: JobType, scope: Scope, value: unknown): boolean {
  if (HYPHA_FIELDS.has(name) || name.startsWith("_")) return true;
  const short = name.slice(0, 64);
  const at: Place = { path: `manifest.${JSON.stringify(short).slice(1, -1)}`, example: "" };
  const plain = snake(short);
  if (plain === "namespace") {
    if (value === scope.settings.namespace) return true;
    throw refused(
      at,
      `jobs run in the namespace ${scope.settings.namespace} and nowhere else`,
      "Leave it out.",
    );
  }
  if (Object.hasOwn(NEVER, plain)) throw misplaced(at, "is not possible here", NEVER[plain]!);
  const own = names.filter((known) => fieldOf(known).types.includes(type));
  const spellings = [...spelled].filter(([, known]) => own.includes(known)).map(([one]) => one);
  const other = elsewhere.get(plain);
  const meant = (other !== undefined && own.includes(other) ? other : undefined) ??
    (spellings.includes(plain) ? plain : undefined) ?? meantBy(plain, spellings);
  if (meant === undefined) return false;
  throw misplaced(at, "is not known", `Did you mean ${meant}?`);
}

/**
 * Reads a manifest. A field that is `null` counts as missing: Hypha's server sends every field it knows.
 *
 * @throws WorkerError `invalid_argument` or `permission_denied` that names the field
 */
export function readManifest(manifest: unknown, scope: Scope): ReadManifest {
  const root: Place = { path: "manifest", example: exampleOf("image") };
  if (!isMapping(manifest)) throw invalid(root, "a mapping", { received: manifest });
  const entries = Object.entries(manifest).filter(([, value]) =>
    value !== null && value !== undefined
  );
  if (entries.length > MAX_FIELDS) throw invalid(root, `a mapping of at most ${MAX_FIELDS} fields`);
  const given = Object.hasOwn(manifest, "type") ? manifest.type ?? undefined : undefined;
  const type = FIELDS.type.kind.read(given ?? JOB_TYPES[0], place("type", "type"), scope);
  const values: Record<string, unknown> = {};
  const unknown: string[] = [];
  for (const [spelling, value] of entries) {
    const name = spelled.get(spelling);
    if (name === undefined) {
      if (!checkUnknown(spelling, type, scope, value)) unknown.push(spelling);
      continue;
    }
    const at = place(spelling, name);
    const { kind, types } = fieldOf(name);
    if (!types.includes(type)) {
      throw misplaced(at, `is not for ${type}`, `Leave it out; it is for ${types.join(" and ")}.`);
    }
    if (Object.hasOwn(values, name)) {
      throw misplaced(at, `says again what ${name} says`, "Leave one of them out.");
    }
    values[name] = kind.read(value, at, scope);
  }
  for (const name of names) {
    if (fieldOf(name).required?.includes(type) && values[name] === undefined) {
      throw misplaced(place(name, name), "is missing", `Write ${exampleOf(name)}`);
    }
  }
  return { type, values: values as Values, warnings: warningsOf(unknown) };
}

function warningsOf(unknown: readonly string[]): string[] {
  const shown = unknown.slice(0, MAX_WARNINGS).map((name) =>
    `The manifest's field ${
      JSON.stringify(name.slice(0, 64))
    } is not known here and was passed over`
  );
  const more = unknown.length - shown.length;
  return more === 0 ? shown : [...shown, `${more} more fields were passed over`];
}
