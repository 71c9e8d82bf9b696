/** Displays as text, for logs. */
import type { DisplayData } from "../interpreter/outputs.ts";

/**
 * The plain text of a display, and a line that names the other forms it has:
 * `<Figure size 640x480 with 1 Axes>` and below `[displayed as image/png]`.
 */
export function displayText({ data }: DisplayData): string {
  const others = Object.keys(data).filter((mime) => mime !== "text/plain");
  const lines = "text/plain" in data ? [String(data["text/plain"])] : [];
  if (others.length > 0) lines.push(`[displayed as ${others.join(", ")}]`);
  return lines.join("\n") + "\n";
}
