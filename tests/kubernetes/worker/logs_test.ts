/** The output of pods as pages of a log. */
import { assertEquals } from "@std/assert";
import { pods } from "../../../lib/kubernetes/api/resource_path.ts";
import { Bench, ended, JOB, NAMESPACE, runs } from "./support.ts";

/** A page of stdout. */
async function page(bench: Bench, id: string, offset?: number, limit?: number) {
  const { items, total } = await bench.call<{ items: { content: string }[]; total: number }>(
    "get_logs",
    { "session_id": id, type: "stdout", offset, limit },
  );
  return { text: items.map(({ content }) => content).join(""), total };
}

Deno.test("live output comes once, in order, and pages stay where they are", async () => {
  await using bench = await Bench.start();
  const { id, pod } = await bench.running(JOB, { id: "live" });
  const log = bench.api.log(pod);
  // Lines of one second, and of one and the same moment.
  const times = ["2024-01-01T00:00:01.5Z", "2024-01-01T00:00:01.5Z", "2024-01-01T00:00:01.6Z"];
  for (const [index, time] of times.entries()) log.line(`line ${index}`, time);
  assertEquals(await page(bench, id), { text: "line 0\nline 1\nline 2\n", total: 3 });
  assertEquals(await page(bench, id), { text: "line 0\nline 1\nline 2\n", total: 3 });
  log.line("line 3", "2024-01-01T00:00:01.6Z");
  log.line("line 4", "2024-01-01T00:00:09.1Z");
  assertEquals(await page(bench, id, 3), { text: "line 3\nline 4\n", total: 5 });
  assertEquals(await page(bench, id, 1, 2), { text: "line 1\nline 2\n", total: 5 });
  // From the last second on, not from the beginning.
  const asked = bench.api.requests.filter(({ path }) => path.includes("/log?"));
  assertEquals(
    asked.map(({ path }) => new URLSearchParams(path.split("?")[1]).get("sinceTime")),
    [null, "2024-01-01T00:00:01Z", "2024-01-01T00:00:01Z", "2024-01-01T00:00:09Z"],
  );
});

Deno.test("entries carry the time at which they were written", async () => {
  await using bench = await Bench.start();
  const { id, pod } = await bench.running(JOB, { id: "times" });
  bench.api.log(pod).line("x", "2024-01-01T00:00:01.5Z");
  const { items } = await bench.call<{ items: Record<string, unknown>[] }>("get_logs", {
    "session_id": id,
    type: "stdout",
  });
  assertEquals(items, [{
    type: "stdout",
    content: "x\n",
    timestamp: "2024-01-01T00:00:01.5000000Z",
  }]);
});

Deno.test("the pods of one job follow each other, each to its end", async () => {
  await using bench = await Bench.start();
  const { id, job, pod } = await bench.running(JOB, { id: "retries" });
  bench.api.log(pod).line("first try");
  bench.setPod(pod, ended(1));
  await bench.known("ws-a/retries", (one) => one.exit_code === 1);
  const second = bench.api.startPod(NAMESPACE, job, runs()).metadata!.name!;
  bench.api.log(second).line("second try");
  await bench.known("ws-a/retries", (one) => one.pod === second);
  assertEquals((await page(bench, id)).text, "first try\nsecond try\n");
  const info = await bench.call<{ pods: { name: string; exit_code: number | null }[] }>(
    "get_session_info",
    { "session_id": id },
  );
  assertEquals(info.pods.map((one) => [one.name, one.exit_code]), [[pod, 1], [second, null]]);
});

Deno.test("what a container wrote before it was started again is kept", async () => {
  await using bench = await Bench.start();
  const { id, pod } = await bench.running(JOB, { id: "again" });
  bench.api.log(pod).line("before", "2024-01-01T00:00:01Z");
  await page(bench, id);
  const previous = bench.api.log(pod, "main", "previous");
  previous.line("before", "2024-01-01T00:00:01Z");
  previous.line("its last words", "2024-01-01T00:00:02Z");
  const asked = bench.api.arrival(/previous=true/);
  bench.setPod(pod, runs(1));
  // It is read at once, not only when somebody asks.
  await asked;
  const text = (await page(bench, id)).text;
  assertEquals(text.startsWith("before\nits last words\n"), true, text);
});

Deno.test("the log of a session that was stopped, or whose job has gone, can still be read", async () => {
  await using bench = await Bench.start();
  const stopped = await bench.running(JOB, { id: "stopped" });
  bench.api.log(stopped.pod).line("until the end");
  await bench.call("stop", { "session_id": "stopped" });
  assertEquals(bench.pods(), []);
  assertEquals((await page(bench, "stopped")).text, "until the end\n");
  const info = await bench.call("get_session_info", { "session_id": "stopped" });
  assertEquals(info.status, "stopped");

  const gone = await bench.running(JOB, { id: "gone" });
  bench.api.log(gone.pod).line("said before");
  assertEquals((await page(bench, "gone")).text, "said before\n");
  bench.setPod(gone.pod, ended(0, "Completed"));
  bench.setJob(gone.job, { conditions: [{ type: "Complete", status: "True" }] });
  await bench.known("ws-a/gone", (one) => one.status === "succeeded");
  // As the controller of times to live does.
  const session = bench.worker.anySession("ws-a/gone");
  bench.api.remove({
    group: "batch",
    version: "v1",
    namespace: NAMESPACE,
    resource: "jobs",
    name: gone.job,
  });
  await new Promise((resolve) => session.signal.addEventListener("abort", resolve));
  assertEquals((await page(bench, "gone")).text, "said before\n");
  assertEquals(
    (await bench.call("get_session_info", { "session_id": "gone" })).status,
    "succeeded",
  );
});

Deno.test("a line that is not finished is left for later while the container runs", async () => {
  await using bench = await Bench.start();
  const { id, pod } = await bench.running(JOB, { id: "partial" });
  const path = `/api/v1/namespaces/${NAMESPACE}/pods/${pod}/log`;
  const answer = (text: string) => () => new Response(text);
  const at = (second: number) => `2024-01-01T00:00:0${second}.1Z`;
  bench.api.fail(new RegExp(path), answer(`${at(1)} whole\n${at(2)} hal`));
  assertEquals((await page(bench, id)).text, "whole\n");
  bench.api.fail(new RegExp(path), answer(`${at(1)} whole\n${at(2)} half\n`));
  assertEquals((await page(bench, id)).text, "whole\nhalf\n");
  bench.setPod(pod, ended(0, "Completed"));
  await bench.known("ws-a/partial", (one) => one.exit_code === 0);
  bench.api.fail(new RegExp(path), answer(`${at(2)} half\n${at(3)} end`));
  assertEquals((await page(bench, id)).text, "whole\nhalf\nend");
});

Deno.test("logs that cannot be read now are no error, and come later", async () => {
  await using bench = await Bench.start();
  const { id, pod } = await bench.running(JOB, { id: "later" });
  bench.api.fail(/\/log\?/, () => new Response("bad", { status: 403 }));
  assertEquals((await page(bench, id)).text, "");
  bench.api.log(pod).line("here");
  assertEquals((await page(bench, id)).text, "here\n");
});

Deno.test("bytes that are no text, and lines without end, are bounded", async () => {
  await using bench = await Bench.start();
  const { id, pod } = await bench.running(JOB, { id: "hostile" });
  const log = bench.api.log(pod);
  log.line(new Uint8Array([0xff, 0xfe, 0x41]));
  log.line("y".repeat(1_000_000));
  log.line("after");
  const { text, total } = await page(bench, id);
  assertEquals(total, 3);
  assertEquals(text.startsWith("\ufffd\ufffdA\n"), true);
  assertEquals(text.endsWith("\nafter\n"), true);
  assertEquals(text.length < 70_000, true, String(text.length));
});

Deno.test("a pod that is deleted is read to its end before it has gone", async () => {
  await using bench = await Bench.start();
  const { id, pod } = await bench.running(JOB, { id: "evicted" });
  bench.api.log(pod).line("bye");
  const asked = bench.api.arrival(/\/log\?/);
  bench.api.patch(pods(NAMESPACE, pod), {
    metadata: { deletionTimestamp: "2024-01-01T00:00:00Z" },
  });
  await asked;
  await bench.worker.anySession("ws-a/evicted").catchUp();
  bench.api.remove(pods(NAMESPACE, pod));
  assertEquals((await page(bench, id)).text, "bye\n");
});
