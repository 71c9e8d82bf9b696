/** Text for people: tables, sizes, ages. */
import { formatBytes } from "../environments/space.ts";

/** What stands for something that is not known. */
export const UNKNOWN = "-";

/** Columns of text; the first row is the head. Numbers are right-aligned where `right` says so. */
export function table(
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string[] {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from(
    { length: columns },
    (_, column) => Math.max(...rows.map((row) => [...row[column] ?? ""].length)),
  );
  return rows.map((row) =>
    row.map((cell, column) => {
      const gap = " ".repeat(widths[column]! - [...cell].length);
      return right.includes(column) ? gap + cell : cell + gap;
    }).join("  ").trimEnd()
  );
}

/** Bytes for people. */
export function size(bytes: number | undefined): string {
  return bytes === undefined ? UNKNOWN : formatBytes(bytes);
}

/** How long ago a time was, in one word and its unit. */
export function ago(time: string | undefined, now: number): string {
  if (time === undefined) return UNKNOWN;
  const seconds = Math.max(0, Math.floor((now - Date.parse(time)) / 1000));
  if (seconds < 60) return "just now";
  const units: [number, string][] = [[86_400, "day"], [3600, "hour"], [60, "minute"]];
  const [length, unit] = units.find(([length]) => seconds >= length)!;
  const count = Math.floor(seconds / length);
  return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
}

/** A text that is no longer than so many characters. */
export function shorten(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : characters.slice(0, length - 1).join("") + "…";
}
