/**
 * HTML of strangers made harmless: only known elements, attributes and styles come through, written anew.
 *
 * Cells put out HTML (tables above all), and Markdown may contain some. None of it may run, load, cover or leave
 * anything. The page's own containers are elements that are not among {@linkcode ELEMENTS}, so that no end tag of a
 * stranger closes one of them, however a browser mends the nesting.
 */
import { Parser } from "htmlparser2";
import { cleanStyle, cleanStyleSheet } from "./report_css.ts";
import { escapeHtml } from "./report_text.ts";

const words = (text: string) => new Set(text.split(" "));

/** Elements that come through. */
const ELEMENTS = words(
  "a abbr b big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em font h1 h2 h3 h4 h5 " +
    "h6 hr i img ins kbd li mark ol p pre q s samp small span strike strong sub summary sup table tbody td tfoot th " +
    "thead time tr tt u ul var wbr",
);
const VOID = words("br col hr img wbr");
/** Elements that go with all they contain; of others only the tags go. */
const DROPPED = words(
  "applet audio base button canvas embed form frame frameset head iframe input link math meta noembed noframes " +
    "noscript object optgroup option plaintext script select style svg template textarea title video xmp",
);
/** What makes more of an output than a document can show. */
const ACTIVE = words(
  "audio button canvas embed form iframe input object script select svg textarea video",
);

/** Attributes that come through on every element, as far as their value is of the form. */
const ATTRIBUTES: Readonly<Record<string, RegExp>> = {
  align: /^(?:left|right|center|justify)$/i,
  valign: /^(?:top|middle|bottom|baseline)$/i,
  colspan: /^\d{1,4}$/,
  rowspan: /^\d{1,4}$/,
  span: /^\d{1,4}$/,
  scope: /^(?:row|col|rowgroup|colgroup)$/i,
  start: /^-?\d{1,9}$/,
  value: /^-?\d{1,9}$/,
  reversed: /^$/,
  open: /^(?:open)?$/,
  width: /^\d{1,4}%?$/,
  height: /^\d{1,4}%?$/,
  title: /^[^]{0,1000}$/,
  alt: /^[^]{0,1000}$/,
  lang: /^[\w-]{1,35}$/,
  dir: /^(?:ltr|rtl|auto)$/i,
  color: /^(?:#[\da-f]{3,8}|[a-z]{1,30})$/i,
};
/** Names pandas gives the parts of its tables, and those of this page's own Markdown. */
const CLASSES =
  /^(?:dataframe|data|blank|null|index_name|row_heading|col_heading|(?:row|col|level)\d{1,7}|math|missing|task)$/;
/** Names of pandas' styled tables. */
const STYLED_ID = /^T_[\w-]{1,80}$/;
const LINK = /^(?:https?:|mailto:|#)/i;
/** Pictures that are in the document itself; as pictures they cannot run anything, also not SVG. */
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp|svg\+xml)[;,]/i;
/** Deeper than any document; browsers get slow there. */
const MAX_DEPTH = 200;

/** Harmless HTML. */
export interface CleanHtml {
  readonly html: string;
  /** Whether something was left out that makes the rest incomplete: scripts, drawings, controls. */
  readonly active: boolean;
  /** Whether there is anything to see. */
  readonly empty: boolean;
}

/** Options of {@linkcode cleanHtml}. */
export interface CleanOptions {
  /** Gives the data URL for the address of a picture. @default only data URLs are shown */
  readonly picture?: (address: string) => string | undefined;
}

/** Makes HTML harmless. Takes any text, and always gives balanced elements. */
export function cleanHtml(html: string, options: CleanOptions = {}): CleanHtml {
  const out: string[] = [];
  // Elements the parser is in; none for those whose tags are left out.
  const open: (string | undefined)[] = [];
  let dropped = 0;
  let depth = 0;
  let active = false;
  let seen = false;
  let sheet: string | undefined;
  const parser = new Parser({
    onopentag(name, attributes) {
      if (ACTIVE.has(name)) active = true;
      if (dropped > 0 || DROPPED.has(name)) {
        if (name === "style" && dropped === 0) sheet = "";
        dropped++;
        open.push("");
        return;
      }
      if (!ELEMENTS.has(name) || depth >= MAX_DEPTH) {
        open.push(undefined);
        return;
      }
      if (name === "img") {
        seen = true;
        out.push(picture(attributes, options));
      } else out.push(`<${name}${attributesOf(name, attributes)}>`);
      open.push(name);
      depth++;
    },
    ontext(text) {
      if (sheet !== undefined) sheet += text;
      if (dropped > 0) return;
      seen ||= /\S/.test(text);
      out.push(escapeHtml(text));
    },
    onclosetag() {
      const name = open.pop();
      if (name === "") {
        dropped--;
        if (dropped === 0 && sheet !== undefined) {
          const css = cleanStyleSheet(sheet);
          if (css !== "") out.push(`<style>${css}</style>`);
          sheet = undefined;
        }
      } else if (name !== undefined) {
        depth--;
        if (!VOID.has(name)) out.push(`</${name}>`);
      }
    },
  }, { decodeEntities: true, lowerCaseTags: true, lowerCaseAttributeNames: true });
  parser.end(html);
  return { html: out.join(""), active, empty: !seen };
}

function attributesOf(element: string, given: Record<string, string>): string {
  let text = "";
  const add = (name: string, value: string) => text += ` ${name}="${escapeHtml(value)}"`;
  for (const [name, value] of Object.entries(given)) {
    if (name === "style") {
      const style = cleanStyle(value);
      if (style !== "") add(name, style);
    } else if (name === "class") {
      const classes = value.split(/\s+/).filter((one) => CLASSES.test(one));
      if (classes.length > 0) add(name, classes.join(" "));
    } else if (name === "id") {
      if (STYLED_ID.test(value)) add(name, value);
    } else if (name === "href" && element === "a") {
      // Browsers drop control characters and spaces that stand before and in a scheme.
      // deno-lint-ignore no-control-regex
      const address = value.replace(/[\x00-\x20\x7f-\xa0]+/g, "");
      if (LINK.test(address)) {
        add(name, address);
        if (!address.startsWith("#")) add("rel", "noopener noreferrer nofollow");
      }
    } else if (Object.hasOwn(ATTRIBUTES, name) && ATTRIBUTES[name]!.test(value)) add(name, value);
  }
  return text;
}

/** A picture that is in the document, or a word about one that is not: nothing is loaded from elsewhere. */
function picture(
  { src = "", ...attributes }: Record<string, string>,
  options: CleanOptions,
): string {
  const address = src.trim();
  const data = PICTURE.test(address) ? address : options.picture?.(address);
  if (data !== undefined) {
    return `<img src="${escapeHtml(data)}"${attributesOf("img", attributes)}>`;
  }
  const name = attributes.alt || address.slice(0, 200);
  return `<span class="missing">[picture not included: ${escapeHtml(name)}]</span>`;
}
