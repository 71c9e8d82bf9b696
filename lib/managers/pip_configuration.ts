/** Reading pip's configuration files, for what they say about the network. */
import { join } from "@std/path";

/** Sections that count for `pip install`, the more special last. */
const SECTIONS = ["global", "install"];

/** Values of pip's options in a configuration file, by the name of their variable (`PIP_INDEX_URL`). */
export function parsePipConfiguration(text: string): Record<string, string> {
  const sections: Record<string, Record<string, string>> = {};
  let section: Record<string, string> | undefined;
  let last: string | undefined;
  for (const raw of text.split(/\r?\n/)) {
    if (/^\s*(?:[#;]|$)/.test(raw)) continue;
    const header = /^\[([^\]]+)\]/.exec(raw);
    if (header !== null) {
      section = sections[header[1]!.trim().toLowerCase()] ??= {};
      last = undefined;
      continue;
    }
    if (section === undefined) continue;
    // A line that is indented goes on with the value before; pip separates values by white space.
    if (/^\s/.test(raw) && last !== undefined) {
      section[last] = `${section[last]} ${raw.trim()}`.trim();
      continue;
    }
    const entry = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(raw);
    if (entry === null) continue;
    last = `PIP_${entry[1]!.trim().toUpperCase().replaceAll("-", "_")}`;
    section[last] = entry[2]!.trim();
  }
  return Object.assign({}, ...SECTIONS.map((name) => sections[name] ?? {}));
}

/** Where pip looks for configuration, the least important first. */
function configurationFiles(env: Readonly<Record<string, string>>): string[] {
  const named = env.PIP_CONFIG_FILE;
  if (named === "/dev/null") return [];
  const files = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf"];
  if (env.HOME !== undefined) {
    files.push(join(env.HOME, ".pip", "pip.conf"));
    files.push(join(env.XDG_CONFIG_HOME ?? join(env.HOME, ".config"), "pip", "pip.conf"));
  }
  return named === undefined ? files : [...files, named];
}

/** What the configuration files of user and machine say about some of pip's settings, named by their variables. */
export async function pipNetworkSettings(
  env: Readonly<Record<string, string>>,
  names: readonly string[],
): Promise<Record<string, string>> {
  const settings: Record<string, string> = {};
  for (const file of configurationFiles(env)) {
    let text: string;
    try {
      text = await Deno.readTextFile(file);
    } catch {
      // pip passes over what it cannot read, too.
      continue;
    }
    for (const [name, value] of Object.entries(parsePipConfiguration(text))) {
      if (names.includes(name) && value !== "") settings[name] = value;
    }
  }
  return settings;
}
