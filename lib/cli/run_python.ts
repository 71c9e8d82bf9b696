/** The cell before a script, which makes the session what `python script.py` would give it. */
import startText from "./run_start.py" with { type: "text" };

/** How a session is prepared. `null` leaves what the session has. */
export interface PythonSettings {
  /** Working directory. */
  readonly cwd: string | null;
  /** First entry of `sys.path`. */
  readonly path: string | null;
  /** `__file__`. */
  readonly file: string | null;
  /** Home directory. */
  readonly home: string | null;
  /** Socket that gives standard input. */
  readonly stdin: string | null;
  /**
   * Whether the next cell is the whole script: it ends as Python ends, waiting for threads and calling what is
   * registered with `atexit`, and shows its error before that as a display of this MIME type. @default it does not
   */
  readonly errors?: string;
}

/** Code that prepares a session. It leaves no names. */
export function startCode(settings: PythonSettings): string {
  // Texts of JSON are texts of Python.
  const given = JSON.stringify(JSON.stringify(settings));
  return inside(startText, `"main": globals(), "settings": __import__("json").loads(${given})`);
}

function inside(code: string, names: string): string {
  // Named as a file of the kernel, whose frames are left out of tracebacks.
  const name = '__import__("hypha_kernel").FOLDER + "/run.py"';
  return `exec(compile(${
    JSON.stringify(code)
  }, ${name}, "exec"), {"__name__": "hypha_run", ${names}})`;
}
