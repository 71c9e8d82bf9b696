/** How a report looks: light and dark, wide and narrow, and on paper. */

/** Sixteen colours of terminals for text, as readable on the page. */
const LIGHT = [
  "#24292f #cf222e #116329 #7d4e00 #0550ae #8250df #1b7c83 #6e7781",
  "#57606a #e5343d #1a7f37 #9a6700 #218bff #a475f9 #3192aa #8c959f",
].join(" ").split(" ");
const DARK = [
  "#6e7681 #ff7b72 #3fb950 #d29922 #58a6ff #bc8cff #39c5cf #b1bac4",
  "#8b949e #ffa198 #56d364 #e3b341 #79c0ff #d2a8ff #56d4dd #f0f6fc",
].join(" ").split(" ");
/** The same for backgrounds, on which the text of the page and the colours above are readable. */
const LIGHT_BEHIND = [
  "#3d444d #ffb3ad #a7e8b4 #ffe08a #b3d7ff #dfc8ff #a6e9ec #d8dee4",
  "#8c959f #ff8f87 #77d88b #ffd33d #80bfff #c69cff #6fd6d6 #eaeef2",
].join(" ").split(" ");
const DARK_BEHIND = [
  "#2d333b #8e2f2b #1b6330 #735308 #1a4a91 #5b3796 #14646b #596069",
  "#444c56 #b33f39 #24803f #8f690f #2560b8 #7447b8 #1b7f88 #768390",
].join(" ").split(" ");

const numbered = (letter: string, list: readonly string[]) =>
  list.map((colour, index) => `--${letter}${index}: ${colour};`).join(" ");

const DARK_THEME = `
    --page: #0d1117; --panel: #161b22; --text: #e6edf3; --quiet: #8d96a0; --line: #30363d; --accent: #58a6ff;
    --stripe: #131922; --hover: #1c2430; --error: #ff7b72; --error-panel: #2a1618; --warn: #d29922; --warn-panel: #221c10;
    --keyword: #ff7b72; --string: #a5d6ff; --number: #79c0ff; --comment: #8b949e; --name: #d2a8ff; --built-in: #ffa657;
    --magic: #d2a8ff;
    ${numbered("a", DARK)}
    ${numbered("b", DARK_BEHIND)}`;

/** The page's style sheet. */
export const STYLE: string = `
:root {
  --page: #ffffff; --panel: #f6f8fa; --text: #1f2328; --quiet: #636c76; --line: #d8dee4; --accent: #0969da;
  --stripe: #fafbfc; --hover: #eef4fb; --error: #cf222e; --error-panel: #fff4f3; --warn: #9a6700; --warn-panel: #fffaeb;
  --keyword: #cf222e; --string: #0a3069; --number: #0550ae; --comment: #656d76; --name: #6639ba; --built-in: #953800;
  --magic: #8250df;
  ${numbered("a", LIGHT)}
  ${numbered("b", LIGHT_BEHIND)}
  --mono: ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --gutter: 3.6rem;
}
@media (prefers-color-scheme: dark) { :root {${DARK_THEME} } }

* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 62rem; padding: 0 1.25rem 5rem; background: var(--page); color: var(--text);
  font: 16px/1.6 var(--sans); overflow-wrap: break-word; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
pre, code, kbd, samp, .count, .time { font-family: var(--mono); }
pre { margin: 0; font-size: 0.84rem; line-height: 1.5; tab-size: 8; }

header { padding: 3rem 0 1.25rem; margin-bottom: 1.75rem; border-bottom: 1px solid var(--line); }
header h1 { margin: 0; font-size: 2.1rem; line-height: 1.2; font-weight: 700; letter-spacing: -0.02em; }
.subtitle { margin: 0.5rem 0 0; color: var(--quiet); font-size: 1.05rem; }
.facts { display: flex; flex-wrap: wrap; gap: 0.4rem; list-style: none; margin: 1rem 0 0; padding: 0; font-size: 0.8rem; }
.facts li { padding: 0.1rem 0.65rem; border: 1px solid var(--line); border-radius: 999px; background: var(--panel);
  color: var(--quiet); font-variant-numeric: tabular-nums; }
.facts .failed { border-color: var(--error); background: var(--error-panel); }
.facts .failed a { color: var(--error); font-weight: 600; }

nav ol { list-style: none; margin: 0; padding: 0.2rem 0; }
nav { margin: 0 0 1.75rem; padding: 0.7rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--panel);
  font-size: 0.88rem; max-height: 16rem; overflow: auto; }
nav li { margin: 0.15rem 0; line-height: 1.4; }
nav a { color: var(--quiet); }
nav a:hover { color: var(--accent); }
nav .level-1 a { color: var(--text); font-weight: 600; }
nav .level-2 { padding-left: 1rem; }
nav .level-3 { padding-left: 2rem; }

.cell { margin: 0 0 1.4rem; min-width: 0; }
.markdown > :first-child { margin-top: 0; }
.markdown > :last-child { margin-bottom: 0; }
.markdown h1, .markdown h2, .markdown h3, .markdown h4, .markdown h5, .markdown h6 {
  line-height: 1.25; letter-spacing: -0.01em; margin: 1.5em 0 0.6em; }
.cell.markdown:not(:first-child) > h1:first-child, .cell.markdown:not(:first-child) > h2:first-child { margin-top: 2.2rem; }
.markdown h1 { font-size: 1.75rem; } .markdown h2 { font-size: 1.4rem; } .markdown h3 { font-size: 1.15rem; }
.markdown h4, .markdown h5, .markdown h6 { font-size: 1rem; }
.markdown h1, .markdown h2 { padding-bottom: 0.3em; border-bottom: 1px solid var(--line); }
.markdown p, .markdown ul, .markdown ol, .markdown blockquote, .markdown pre { margin: 0 0 1em; }
.markdown li > ul, .markdown li > ol { margin-bottom: 0; }
.markdown li:has(> .task:first-child), .markdown li:has(> p:first-child > .task:first-child) { list-style: none; margin-left: -1.3em; }
.markdown blockquote { margin-left: 0; padding: 0 1em; border-left: 4px solid var(--line); color: var(--quiet); }
.markdown code { padding: 0.15em 0.35em; border-radius: 5px; background: var(--panel); font-size: 0.86em; }
.markdown pre { padding: 0.8rem 1rem; border-radius: 8px; background: var(--panel); overflow-x: auto; }
.markdown pre code { padding: 0; background: none; font-size: inherit; }
.markdown hr { border: 0; border-top: 1px solid var(--line); margin: 2em 0; }
.markdown img { max-width: 100%; height: auto; }
.math { font-family: var(--mono); font-size: 0.9em; color: var(--name); white-space: pre-wrap; }
div.math { padding: 0.4em 1em; margin: 0 0 1em; text-align: center; }
.missing { color: var(--quiet); font-style: italic; }

.source { position: relative; border: 1px solid var(--line); border-radius: 8px; background: var(--panel); }
.source .code { padding: 0.75rem 1rem; overflow-x: auto; }
.count, .time { font-size: 0.75rem; line-height: 1.68; color: var(--quiet); font-variant-numeric: tabular-nums; white-space: pre; }
.count { position: absolute; right: 100%; top: 0.75rem; padding-right: 0.7rem; user-select: none; }
.time { position: absolute; right: 0.6rem; top: 0; transform: translateY(-50%); padding: 0 0.5rem; line-height: 1.5;
  border: 1px solid var(--line); border-radius: 999px; background: var(--page); font-size: 0.68rem; }
.failed > .source { border-color: var(--error); }
.output { margin: 0.55rem 0 0; padding: 0 1rem; min-width: 0; }
.output .text { overflow-x: auto; white-space: pre; }
.stderr, .error { padding: 0.6rem 1rem; border-radius: 8px; }
.stderr { background: var(--warn-panel); box-shadow: inset 3px 0 var(--warn); }
.error { background: var(--error-panel); box-shadow: inset 3px 0 var(--error); }
.note { margin: 0.2rem 0; padding: 0.4rem 0.8rem; border: 1px dashed var(--line); border-radius: 8px; color: var(--quiet);
  font-size: 0.85rem; }
.raw .text { padding: 0.75rem 1rem; border: 1px dashed var(--line); border-radius: 8px; color: var(--quiet); overflow-x: auto; }
figure { margin: 0.3rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
.html { overflow: auto; max-width: 100%; max-height: 38rem; }
.html thead { position: sticky; top: 0; background: var(--page); }
.fold summary { cursor: pointer; color: var(--accent); font-size: 0.82rem; padding: 0.25rem 0; width: fit-content; }
.fold:has(> details[open]) > pre { display: none; }
.fold details pre { max-height: 40rem; overflow: auto; }

table { border-collapse: collapse; font-size: 0.84rem; line-height: 1.4; margin: 0.3rem 0; font-variant-numeric: tabular-nums; }
.markdown table { display: block; width: fit-content; max-width: 100%; overflow-x: auto; margin-bottom: 1em; font-size: 0.9rem; }
th, td { padding: 0.32rem 0.75rem; text-align: right; vertical-align: top; border: 0; border-bottom: 1px solid var(--line);
  max-width: 30rem; }
.markdown th, .markdown td { text-align: left; }
.markdown [align=right] { text-align: right; } .markdown [align=center] { text-align: center; }
thead th { border-bottom: 2px solid var(--line); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; color: var(--quiet); }
tbody tr:nth-child(even) { background: var(--stripe); }
tbody tr:hover { background: var(--hover); }
.html p { margin: 0.4rem 0; font-size: 0.84rem; color: var(--quiet); }
.html [style*="background"]:not([style*="color:"]) { color: #1f2328; }

.k, .mg { color: var(--keyword); } .mg { color: var(--magic); } .kc, .m { color: var(--number); } .s { color: var(--string); }
.c { color: var(--comment); font-style: italic; } .nf, .nd { color: var(--name); } .nb { color: var(--built-in); }
.ab0, .ab8 { color: #fff; }
${
  LIGHT.map((_colour, index) =>
    `.af${index} { color: var(--a${index}); } .ab${index} { background: var(--b${index}); } ` +
    `.ax${index} { background: var(--a${index}); }`
  ).join("\n")
}
.a-bold { font-weight: 700; } .a-dim { opacity: 0.65; } .a-italic { font-style: italic; }

@media (min-width: 72rem) {
  body.with-contents { max-width: 84rem; display: grid; grid-template-columns: 14rem minmax(0, 1fr); column-gap: 1.5rem;
    align-content: start; }
  body.with-contents header { grid-column: 1 / -1; }
  body.with-contents nav { position: sticky; top: 1.5rem; align-self: start; max-height: calc(100vh - 3rem); border: 0;
    background: none; padding: 0; }
}
@media (min-width: 44rem) { main { padding-left: var(--gutter); } body:not(.with-contents) header { padding-left: var(--gutter); } }
@media (max-width: 43.99rem) {
  body { padding: 0 0.9rem 3rem; }
  header { padding-top: 1.6rem; }
  header h1 { font-size: 1.6rem; }
  .count { position: static; display: block; padding: 0.35rem 0.8rem 0; }
  .source .code { padding: 0.2rem 0.8rem 0.6rem; }
  .output { padding: 0 0.8rem; }
  .stderr, .error { padding: 0.6rem 0.8rem; }
  pre { font-size: 0.78rem; }
}
@media print {
  :root { --page: #fff; --panel: #fff; --text: #000; }
  body, body.with-contents { display: block; max-width: none; padding: 0; font-size: 10.5pt; }
  header { padding-top: 0; }
  nav { display: none; }
  main { padding-left: 2.6rem; }
  pre, .output .text, .source .code, .fold details pre { white-space: pre-wrap; overflow: visible; max-height: none; }
  .source, figure, tr, .error { break-inside: avoid; }
  .markdown h1, .markdown h2, .markdown h3 { break-after: avoid; }
  .fold summary { color: var(--quiet); }
  .html, .markdown table { overflow: visible; max-height: none; }
  .html thead { position: static; }
  a { color: inherit; }
}
`;
