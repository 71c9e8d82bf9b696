/** Which objects of the namespace a manifest may name: the operator's patterns. */
import { type Kind, type Scope, text } from "./kind.ts";
import { isObjectName, JOB_PREFIX } from "./names.ts";
import { hasWildcard, matchesAny } from "./pattern.ts";
import { type Place, refused } from "./problems.ts";
import type { JobSettings } from "./settings.ts";

type GrantSetting =
  | "allowedSecrets"
  | "allowedConfigMaps"
  | "allowedClaims"
  | "allowedServiceAccounts";

const OPTIONS: Readonly<Record<GrantSetting, string>> = {
  allowedSecrets: "--allowed-secrets",
  allowedConfigMaps: "--allowed-config-maps",
  allowedClaims: "--allowed-claims",
  allowedServiceAccounts: "--allowed-service-accounts",
};

/** Names that wildcards do not reach: whoever allows `*` does not mean to give away the worker's own rights. */
function protectedNames(settings: JobSettings): readonly string[] {
  return [...settings.ownNames, settings.agentSecret, settings.condaToken.name];
}

/** Whether a manifest may name an object. */
export function isGranted(setting: GrantSetting, name: string, scope: Scope): boolean {
  const { settings, workspace } = scope;
  // The secrets of sessions hold tokens of other tenants; no pattern of the operator is meant for them.
  if (setting === "allowedSecrets" && name.startsWith(JOB_PREFIX)) return false;
  const patterns = protectedNames(settings).includes(name)
    ? settings[setting].filter((pattern) => !hasWildcard(pattern))
    : settings[setting];
  return matchesAny(patterns, name, workspace);
}

/** Refuses an object that a manifest may not name. */
export function checkGrant(setting: GrantSetting, name: string, place: Place, scope: Scope): void {
  if (isGranted(setting, name, scope)) return;
  throw refused(
    place,
    `the operator of this worker has not allowed ${JSON.stringify(name)}`,
    `Ask the operator to add it to ${OPTIONS[setting]}.`,
  );
}

const objectName = text(
  "the name of an object: letters a to z, digits, dashes and dots",
  isObjectName,
);

/** The name of an object that the operator's patterns allow. */
export function granted(setting: GrantSetting): Kind<string> {
  return {
    ...objectName,
    rule: `${objectName.rule}, which the operator allows (${OPTIONS[setting]})`,
    read(value, place, scope) {
      const name = objectName.read(value, place, scope);
      checkGrant(setting, name, place, scope);
      return name;
    },
  };
}

/** The secret of an agent: the default one, or one that the operator's patterns allow. */
export const agentSecretName: Kind<string> = {
  ...objectName,
  rule:
    `${objectName.rule}; another than the default one must be allowed (${OPTIONS.allowedSecrets})`,
  read(value, place, scope) {
    const name = objectName.read(value, place, scope);
    if (name !== scope.settings.agentSecret) checkGrant("allowedSecrets", name, place, scope);
    return name;
  },
};
