/** Amounts in Kubernetes' notation: `500m`, `1.5`, `2Gi`, `1e3`. */

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};
/** Kubernetes caps what is greater. */
const GREATEST = 2 ** 63;
const LONGEST = 32;

/** The value of an amount that is not negative; `undefined` when the text is none. */
export function quantityValue(text: string): number | undefined {
  if (text.length > LONGEST) return undefined;
  const match = /^\+?(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text);
  if (match === null) return undefined;
  const [, digits, exponent = "", suffix = ""] = match;
  const value = Number(`${digits}${exponent}`) * SUFFIXES[suffix]!;
  return value < GREATEST ? value : undefined;
}

/** An amount as Kubernetes takes it, from a text or a number; `undefined` when it is none. */
export function quantityOf(value: unknown): string | undefined {
  const text = typeof value === "number" ? String(value) : value;
  return typeof text === "string" && quantityValue(text) !== undefined ? text : undefined;
}
