/** Where objects are in Kubernetes' API. */

/** Names a kind of objects, one of them, or a part of one. */
export interface ResourcePath {
  /** For example `batch`; left out for the core group. */
  readonly group?: string;
  readonly version: string;
  /** Left out for objects of the whole cluster. */
  readonly namespace?: string;
  /** Plural, as in addresses: `jobs`. */
  readonly resource: string;
  readonly name?: string;
  /** For example `log`, `exec`, `status`. */
  readonly subresource?: string;
}

/** Query parameters; those that are `undefined` are left out, and lists give one parameter per entry. */
export type Query = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

/** The jobs of a namespace, or one of them. */
export function jobs(namespace: string, name?: string): ResourcePath {
  return place({ group: "batch", version: "v1", namespace, resource: "jobs" }, name);
}

/** The pods of a namespace, or one of them. */
export function pods(namespace: string, name?: string): ResourcePath {
  return place({ version: "v1", namespace, resource: "pods" }, name);
}

/** The secrets of a namespace, or one of them. */
export function secrets(namespace: string, name?: string): ResourcePath {
  return place({ version: "v1", namespace, resource: "secrets" }, name);
}

/** The events of a namespace, or one of them. */
export function events(namespace: string, name?: string): ResourcePath {
  return place({ version: "v1", namespace, resource: "events" }, name);
}

/** Where to ask whether one may do something; only `create` makes sense. */
export const accessReviews: ResourcePath = {
  group: "authorization.k8s.io",
  version: "v1",
  resource: "selfsubjectaccessreviews",
};

function place(path: ResourcePath, name: string | undefined): ResourcePath {
  return name === undefined ? path : { ...path, name };
}

/** The address below the API's own, with its query. Every part is escaped: none can reach another place. */
export function pathOf(path: ResourcePath, query: Query = {}): string {
  const parts = [
    ...(path.group === undefined ? ["api"] : ["apis", path.group]),
    path.version,
    ...(path.namespace === undefined ? [] : ["namespaces", path.namespace]),
    path.resource,
    ...(path.name === undefined ? [] : [path.name]),
    ...(path.subresource === undefined ? [] : [path.subresource]),
  ];
  for (const part of parts) {
    // Escaping does not help against these: addresses are normalised.
    if (part === "" || part === "." || part === "..") {
      throw new TypeError(`Cannot address a resource: ${JSON.stringify(part)} is no name`);
    }
  }
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, String(each));
  }
  const text = search.toString();
  return `/${parts.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

/** The same in words, for messages: `pod "x" (log)`, `jobs`. */
export function describe({ resource, name, subresource }: ResourcePath): string {
  const kind = name === undefined ? resource : resource.replace(/s$/, "");
  return `${subresource === undefined ? "" : `${subresource} of `}${kind}${
    name === undefined ? "" : ` ${name}`
  }`;
}
