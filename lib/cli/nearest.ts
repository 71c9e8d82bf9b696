/** What somebody may have meant who mistyped a word. */
export { editDistance, nearest } from "../nearest.ts";
