/** Styles of strangers made harmless: only properties that change how text and tables look, with plain values. */

const PROPERTIES =
  /^(?:color|background(?:-color)?|font(?:-weight|-style|-size|-family|-variant(?:-numeric)?)|text-(?:align|decoration(?:-line|-style|-color)?|indent|transform)|vertical-align|white-space|border(?:-(?:top|right|bottom|left))?(?:-(?:color|style|width))?|border-(?:collapse|spacing|radius)|padding(?:-(?:top|right|bottom|left))?|(?:min-|max-)?width|list-style-type|opacity)$/;
/** Colours, lengths, words, and the functions that make colours; nothing that loads and no escapes. */
const VALUE =
  /^(?:[\w#%., +-]|"[\w -]*"|'[\w -]*'|(?:rgba?|hsla?|linear-gradient)\([\w#%., +-]*\))*$/;
/** Lengths beyond these would hide what stands beside; the digits of colours are none. */
const HUGE = /(?<![#\w])\d{5,}|-\d/;
const MAX_SHEET = 2_000_000;
/** A selector of pandas' styled tables: below an element with the table's own name. */
const SELECTOR =
  /^#T_[\w-]{1,80}(?:\s+(?:table|thead|tbody|tr|th|td|caption)?(?:[.#][\w-]{1,80}|:(?:hover|first-child|last-child|nth-child\(\w{1,8}\)))*)*$/;

/** The harmless declarations of a `style` attribute. */
export function cleanStyle(style: string): string {
  const kept: string[] = [];
  for (const declaration of style.replace(/\/\*[^]*?\*\//g, "").split(";")) {
    const colon = declaration.indexOf(":");
    const name = declaration.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    const value = declaration.slice(colon + 1).replace(/\s*!important\s*$/i, "").trim();
    if (!PROPERTIES.test(name) || value === "" || value.length > 200) continue;
    if (!VALUE.test(value) || HUGE.test(value)) continue;
    kept.push(`${name}: ${value}`);
  }
  return kept.join("; ");
}

/** The harmless rules of a style sheet: those for the cells of one table that pandas has styled. */
export function cleanStyleSheet(sheet: string): string {
  if (sheet.length > MAX_SHEET) return "";
  const rules: string[] = [];
  for (const rule of sheet.replace(/\/\*[^]*?\*\//g, "").split("}")) {
    const [selectors, declarations, ...more] = rule.split("{");
    if (declarations === undefined || more.length > 0) continue;
    const kept = selectors!.split(",").map((one) => one.trim()).filter((one) => SELECTOR.test(one));
    const style = cleanStyle(declarations);
    if (kept.length > 0 && style !== "") rules.push(`${kept.join(", ")} { ${style} }`);
  }
  return rules.join("\n");
}
