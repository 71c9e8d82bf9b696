/** Name and version of this program. */
import config from "../deno.json" with { type: "json" };

/** Version, as in deno.json. */
export const VERSION: string = config.version;
/** Name of the program, as in its help. */
export const PROGRAM = "hypha-conda-worker";
