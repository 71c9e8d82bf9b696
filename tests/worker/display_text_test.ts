import { assertEquals } from "@std/assert";
import { displayText } from "../../lib/worker/display_text.ts";

Deno.test("a display in a log is its plain text and the names of its other forms", () => {
  const text = (data: Record<string, unknown>) =>
    displayText({ type: "display_data", data, metadata: {} });
  assertEquals(text({ "text/plain": "7" }), "7\n");
  assertEquals(
    text({ "text/plain": "<Figure>", "image/png": "…", "text/html": "…" }),
    "<Figure>\n[displayed as image/png, text/html]\n",
  );
  assertEquals(text({ "image/png": "…" }), "[displayed as image/png]\n");
});
