/** Where a key of a configuration file is: the parsers do not say. */

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/**
 * The line of a key, counted from 1; `undefined` when it is written in a way that is not looked for, such as within an
 * inline table.
 *
 * @param section names of tables with dots between them, empty for the top
 */
export function lineOf(text: string, section: string, key: string): number | undefined {
  const names = section === "" ? [] : section.split(".");
  const lines = text.split(/\r?\n/);
  return tomlLine(lines, names, key) ?? yamlLine(lines, names, key);
}

function tomlLine(lines: readonly string[], names: readonly string[], key: string) {
  const wanted = names.join(".");
  const assignment = new RegExp(`^\\s*["']?${escape(key)}["']?\\s*=`);
  let table = "";
  for (const [index, line] of lines.entries()) {
    const head = /^\s*\[+([^\]]+)\]+\s*(?:#.*)?$/.exec(line)?.[1];
    if (head !== undefined) table = head.replace(/["'\s]/g, "");
    else if (table === wanted && assignment.test(line)) return index + 1;
    // A table that should not be there.
    if (head !== undefined && table === [...names, key].join(".")) return index + 1;
  }
  return undefined;
}

function yamlLine(lines: readonly string[], names: readonly string[], key: string) {
  const path = [...names, key];
  let depth = 0;
  let indent = -1;
  for (const [index, line] of lines.entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const column = line.search(/\S/);
    if (depth > 0 && column <= indent) return undefined;
    const found = new RegExp(`^["']?${escape(path[depth]!)}["']?\\s*:`).test(line.trimStart());
    if (!found || (depth === 0 && column > 0)) continue;
    if (depth === path.length - 1) return index + 1;
    depth++;
    indent = column;
  }
  return undefined;
}
