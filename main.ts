/** Entry point of the program. */
import { processContext } from "./lib/cli/command.ts";
import { main } from "./lib/cli/main.ts";

if (import.meta.main) {
  // Loader variables (common in CUDA images) would make every scoped spawn fail; sessions get their own.
  for (const name of Object.keys(Deno.env.toObject())) {
    if (/^(LD|DYLD)_/i.test(name)) Deno.env.delete(name);
  }
  Deno.exit(await main(Deno.args, processContext()));
}
