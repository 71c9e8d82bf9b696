/** Colours: on a terminal only, unless variables of the field say otherwise. */

/** What decides whether a stream gets colours. */
export interface ColourFacts {
  /** Whether the stream is a terminal. */
  readonly terminal: boolean;
  readonly environment: (name: string) => string | undefined;
}

function given(value: string | undefined): boolean {
  return value !== undefined && value !== "";
}

/**
 * Whether a stream gets colours: never with `NO_COLOR`; always with `FORCE_COLOR` or `CLICOLOR_FORCE`, unless they are
 * 0; otherwise on a terminal that is not `dumb`, unless `CLICOLOR` is 0.
 */
export function wantsColour({ terminal, environment }: ColourFacts): boolean {
  if (given(environment("NO_COLOR"))) return false;
  for (const name of ["FORCE_COLOR", "CLICOLOR_FORCE"]) {
    const value = environment(name);
    if (given(value)) {
      if (value !== "0") return true;
      if (name === "FORCE_COLOR") return false;
    }
  }
  return terminal && environment("TERM") !== "dumb" && environment("CLICOLOR") !== "0";
}

/** Puts text into colours. */
export interface Paint {
  heading(text: string): string;
  name(text: string): string;
  good(text: string): string;
  warning(text: string): string;
  bad(text: string): string;
  faint(text: string): string;
}

/** Paints, or leaves the text as it is. */
export function paint(colour: boolean): Paint {
  const style = (codes: string) => (text: string) =>
    colour && text !== "" ? `\x1b[${codes}m${text}\x1b[0m` : text;
  return {
    heading: style("1;32"),
    name: style("1;36"),
    good: style("32"),
    warning: style("1;33"),
    bad: style("1;31"),
    faint: style("2"),
  };
}
