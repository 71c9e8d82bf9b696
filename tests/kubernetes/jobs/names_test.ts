/** Names, amounts and patterns. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  isDnsLabel,
  isLabelValue,
  jobName,
  labelValue,
} from "../../../lib/kubernetes/jobs/names.ts";
import { matches } from "../../../lib/kubernetes/jobs/pattern.ts";
import { quantityOf, quantityValue } from "../../../lib/kubernetes/jobs/quantity.ts";

const TEXTS = [
  "ws/client",
  "WS/Client",
  "",
  "-",
  "ä/ö",
  "a".repeat(500),
  "-".repeat(90),
  "ws-user-github|12345/_rapp_a__rlb",
  "🦊/🦊",
  "a".repeat(41) + "-",
  "../../etc",
];

Deno.test("names of jobs are DNS labels, and differ for different sessions", () => {
  const names = TEXTS.map((text) => jobName(text));
  for (const name of names) {
    assert(isDnsLabel(name), name);
    assert(/^hypha-job-([a-z0-9-]+-)?[0-9a-f]{10}$/.test(name), name);
  }
  assertEquals(new Set(names).size, TEXTS.length);
  assertNotEquals(jobName("a/b"), jobName("a/b", "1"));
  assertEquals(jobName("a/b"), jobName("a/b"));
});

Deno.test("values of labels are what Kubernetes takes, and differ for different texts", () => {
  const values = TEXTS.map((text) => labelValue(text));
  for (const value of values) assert(value !== "" && isLabelValue(value), value);
  assertEquals(new Set(values).size, TEXTS.length);
  assertEquals(labelValue("k8s-worker"), "k8s-worker");
});

Deno.test("amounts are read as Kubernetes reads them", () => {
  const read: [string, number][] = [
    ["1", 1],
    ["1.5", 1.5],
    [".5", 0.5],
    ["5.", 5],
    ["100m", 0.1],
    ["2k", 2000],
    ["1Ki", 1024],
    ["1.5Gi", 1.5 * 2 ** 30],
    ["1e3", 1000],
    ["1E3", 1000],
    ["1E", 1e18],
    ["+1", 1],
    ["0", 0],
  ];
  for (const [text, value] of read) assertEquals(quantityValue(text), value, text);
  const bad = [
    "",
    " 1",
    "1 ",
    "-1",
    "1KI",
    "1K",
    "1mi",
    "1GiB",
    "1e",
    "e3",
    ".",
    "1e400",
    "8Ei",
    "0x1",
    "1_0",
  ];
  for (const text of [...bad, "1".repeat(33)]) assertEquals(quantityValue(text), undefined, text);
  assertEquals([quantityOf(2), quantityOf(0.5), quantityOf(-1), quantityOf(NaN), quantityOf({})], [
    "2",
    "0.5",
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("a pattern matches whole texts only", () => {
  const cases: [string, string, boolean][] = [
    ["a", "a", true],
    ["a", "ab", false],
    ["*", "", true],
    ["a*", "a", true],
    ["a*a", "a", false],
    ["a*a", "aa", true],
    ["*b*", "abc", true],
    ["a*b*b", "ab", false],
    ["a*bc*c", "abc", false],
    ["a*bc*c", "abcc", true],
    ["{workspace}", "w*", true],
    ["{workspace}", "wx", false],
    ["a.c", "abc", false],
  ];
  for (const [pattern, text, expected] of cases) {
    assertEquals(matches(pattern, text, "w*"), expected, `${pattern} ${text}`);
  }
});
