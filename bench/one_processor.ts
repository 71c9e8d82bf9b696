/** A part of `interpreter.ts` that it runs on one processor: `1+1`, as JSON. */
import { Kernel } from "../tests/interpreter/harness.ts";
import { Echo } from "./baselines.ts";
import { roundTrips } from "./ours.ts";

const [python] = Deno.args;
if (python === undefined) throw new Error("Which Python?");
await using kernel = await Kernel.start(python);
await using echo = await Echo.start(python, kernel.directory);
const { round_trip_ms, executes_per_s } = await roundTrips(await kernel.session(), echo);
console.log(JSON.stringify({
  round_trip_one_ms: round_trip_ms,
  executes_one_per_s: executes_per_s,
}));
