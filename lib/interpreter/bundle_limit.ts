/** Keeps MIME bundles within a limit: a value that is too large is replaced by a notice of its type and size. */
import type { Bundle } from "./outputs.ts";

/** Size of one value (characters, as it travels). */
function sizeOf(value: unknown): number {
  return typeof value === "string" ? value.length : JSON.stringify(value)?.length ?? 0;
}

/** Size of all values of a bundle. */
export function bundleSize(bundle: Bundle): number {
  let size = 0;
  for (const value of Object.values(bundle)) size += sizeOf(value);
  return size;
}

/**
 * The bundle itself when it fits. Else a copy in which the largest values are replaced, one after the other, by
 * a line of plain text that names them; smaller forms of the same value stay.
 */
export function withinLimit(bundle: Bundle, limit: number): { data: Bundle; cut: boolean } {
  const sizes = Object.entries(bundle).map(([mime, value]) => ({ mime, size: sizeOf(value) }));
  let total = sizes.reduce((sum, { size }) => sum + size, 0);
  if (total <= limit) return { data: bundle, cut: false };
  const data = { ...bundle };
  const notices: string[] = [];
  for (const { mime, size } of sizes.sort((a, b) => b.size - a.size)) {
    if (total <= limit) break;
    delete data[mime];
    total -= size;
    notices.push(`[output truncated: ${mime} of ${inWords(size)} left out]`);
  }
  const plain = data["text/plain"];
  data["text/plain"] = [...(plain === undefined ? [] : [String(plain)]), ...notices].join("\n");
  return { data, cut: true };
}

function inWords(size: number): string {
  if (size < 10 * 1024) return `${size} bytes`;
  return size < 1024 * 1024
    ? `${(size / 1024).toFixed(1)} KiB`
    : `${(size / 1024 / 1024).toFixed(1)} MiB`;
}
