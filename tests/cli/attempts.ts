/**
 * Tries what the worker's permissions must not allow, and prints what came of it as JSON. Run by
 * `permissions_test.ts` with the flags of the `start` task in place of the program.
 */
import { join } from "@std/path";

/** Says how an attempt ended: `allowed`, `NotCapable`, or another error's name. */
async function attempt(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
    return "allowed";
  } catch (error) {
    return (error as Error).name;
  }
}

if (import.meta.main) {
  const results: Record<string, string> = {};
  for (const program of Deno.args) {
    results[program] = await attempt(() =>
      new Deno.Command(program, {
        args: ["--version"],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).output()
    );
  }
  // The parent is the test itself, which this signal would do no harm.
  results["signal"] = await attempt(() => Promise.resolve(Deno.kill(Deno.ppid, "SIGCONT")));
  const shadow = await Deno.makeTempDir();
  await Deno.writeTextFile(join(shadow, "mamba"), "#!/bin/sh\n", { mode: 0o755 });
  results["another PATH"] = await attempt(() =>
    new Deno.Command("mamba", { args: ["--version"], env: { PATH: shadow }, stdout: "null" })
      .output()
  );
  await Deno.remove(shadow, { recursive: true });
  results["library preloaded"] = await attempt(() =>
    new Deno.Command("mamba", {
      args: ["--version"],
      env: { LD_PRELOAD: "/some/library.so" },
      stdout: "null",
    }).output()
  );
  results["foreign function"] = await attempt(() => Promise.resolve(Deno.dlopen("libc.so.6", {})));
  console.log(JSON.stringify(results));
}
