/**
 * Building the page. All text that comes from the worker is set as text and never as markup: names, outputs and log
 * lines belong to tenants.
 */

/** The element of the page with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with attributes and children; strings are text. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Sets a text, when it is another one: selected text stays selected. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets the class, when it is another one. */
export function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

const rows = new WeakMap();

/**
 * Makes the children of an element be those of the items, in their order; what is there already stays and is updated.
 *
 * @param make makes the element of an item
 * @param update shows an item in its element
 */
export function list(parent, items, keyOf, make, update) {
  let known = rows.get(parent);
  if (known === undefined) rows.set(parent, known = new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, row] of known) {
    if (wanted.has(key)) continue;
    row.remove();
    known.delete(key);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = known.get(key);
    if (row === undefined) {
      row = make(item);
      row.dataset.key = key;
      known.set(key, row);
    }
    if (row === place) place = place.nextElementSibling;
    else parent.insertBefore(row, place);
    update(row, item);
  }
}

/** Terms and what they are; what is not known is left out. */
export function definitions(parent, pairs) {
  list(
    parent,
    pairs.filter(([, value]) => value !== null && value !== undefined && value !== ""),
    ([name]) => name,
    ([name]) => el("div", {}, el("dt", {}, name), el("dd")),
    (row, [, value]) => setText(row.lastElementChild, String(value)),
  );
}

// deno-lint-ignore no-control-regex
const ESCAPE = /\x1b\[([0-9;]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b./g;
const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** What a terminal would show of lines that were overwritten with carriage returns. */
function overwritten(text) {
  if (!text.includes("\r")) return text;
  return text.split("\n").map((line) => {
    const whole = line.replace(/\r+$/, "");
    return whole.slice(whole.lastIndexOf("\r") + 1);
  }).join("\n");
}

/** The text of terminal output, without its colours. */
export function plain(text) {
  return overwritten(text).replace(ESCAPE, "");
}

/** Terminal output as elements, with its colours. */
export function terminal(text) {
  const fragment = document.createDocumentFragment();
  const source = overwritten(text);
  let style = { bold: false, colour: "" };
  let from = 0;
  const flush = (to) => {
    if (to <= from) return;
    const part = source.slice(from, to);
    const name = [style.colour, style.bold ? "bold" : ""].filter(Boolean).join(" ");
    fragment.append(name === "" ? part : el("span", { class: name }, part));
  };
  for (const match of source.matchAll(ESCAPE)) {
    flush(match.index);
    from = match.index + match[0].length;
    if (match[1] !== undefined) style = nextStyle(style, match[1]);
  }
  flush(source.length);
  return fragment;
}

function nextStyle(style, codes) {
  let next = style;
  for (const code of codes.split(";").map(Number)) {
    if (code === 0) next = { bold: false, colour: "" };
    else if (code === 1) next = { ...next, bold: true };
    else if (code === 22) next = { ...next, bold: false };
    else if (code === 39) next = { ...next, colour: "" };
    else if (code >= 30 && code <= 37) next = { ...next, colour: `ansi-${COLOURS[code - 30]}` };
    else if (code >= 90 && code <= 97) next = { ...next, colour: `ansi-${COLOURS[code - 90]}` };
    // Colours of a palette have arguments that mean something else here.
    else if (code === 38 || code === 48) break;
  }
  return next;
}
