/**
 * The key of an environment: equal for specs that mean the same, different for everything that decides the
 * content. The place is part of it because environments cannot be moved.
 */
import type { ManagerFamily } from "../managers/manager.ts";
import type { EnvironmentSpec } from "./spec.ts";

/** Raised when environments of earlier versions of this program must not be used any more. */
const SCHEMA = 1;

/** What decides the content of an environment besides its spec. */
export interface KeyOptions {
  /** Who makes it: two solvers do not choose the same packages. */
  readonly family: ManagerFamily;
  /** Absolute path of the directory the environments are in. */
  readonly root: string;
  /** @default this machine's */
  readonly platform?: string;
  /** Whether the manager honours the operator's own configuration, which can name other servers. @default false */
  readonly usesConfiguration?: boolean;
}

/** The key of a spec: 16 hexadecimal digits, also the name of its directory. */
export async function environmentKey(
  spec: EnvironmentSpec,
  options: KeyOptions,
): Promise<string> {
  const content = JSON.stringify([
    ["schema", SCHEMA],
    ["family", options.family],
    ["platform", options.platform ?? `${Deno.build.os}-${Deno.build.arch}`],
    ["root", options.root],
    // Order is priority.
    ["channels", spec.channels],
    ["packages", [...spec.packages].sort()],
    ["channelPriority", spec.channelPriority ?? null],
    ["explicit", spec.explicit ?? []],
    // pip installs in order.
    ["pip", spec.pip],
    ["pipOptions", spec.pipOptions ?? []],
    ["configuration", options.usesConfiguration ?? false],
    ["existing", spec.existing ?? null],
    // Variables are not here: they change sessions and nothing on disk.
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(content));
  return new Uint8Array(digest).toHex().slice(0, 16);
}
