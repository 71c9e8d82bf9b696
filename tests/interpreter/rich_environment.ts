/** Real environments with the libraries that show things, made once and reused: with IPython, and without. */
import { join } from "@std/path";
import { requireStack, stackPaths } from "../stack/stack.ts";

/** Which of the two. */
export type RichEnvironment = "plain" | "ipython";

const CONDA = ["python=3.11", "pip", "matplotlib", "pandas", "pillow"];
/** What the local channel lacks. */
const PIP = [
  "plotly==7.1.0",
  "tqdm==4.70.1",
  "rich==15.0.0",
  "jinja2==3.1.6",
  "nest_asyncio==1.6.0",
  "cloudpickle==3.1.2",
];
/** What needs IPython. */
const WITH_IPYTHON = ["ipywidgets==8.1.9", "anywidget==0.11.0", "line_profiler==5.1.0"];

/** Path of the environment's Python; the first call makes the environment. */
export async function richPython(kind: RichEnvironment): Promise<string> {
  requireStack();
  const conda = kind === "ipython" ? [...CONDA, "ipython"] : CONDA;
  const prefix = join(stackPaths.tools, "rich-env", kind);
  const python = join(prefix, "bin", "python");
  const stamp = `${prefix}.stamp`;
  const pip = kind === "ipython" ? [...PIP, ...WITH_IPYTHON] : PIP;
  const wanted = [...conda, ...pip].join("\n");
  if (await Deno.readTextFile(stamp).catch(() => "") === wanted) return python;
  await Deno.remove(prefix, { recursive: true }).catch(() => {});
  await Deno.mkdir(prefix.slice(0, prefix.lastIndexOf("/")), { recursive: true });
  const mamba = join(stackPaths.tools, "managers", "mamba", "bin", "mamba");
  const channel = ["--no-rc", "--override-channels", "-c", stackPaths.channel];
  await run(mamba, ["create", "-y", "-p", prefix, ...channel, ...conda]);
  await run(python, ["-m", "pip", "install", "--quiet", ...pip]);
  await Deno.writeTextFile(stamp, wanted);
  return python;
}

async function run(command: string, args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    env: {
      HOME: join(stackPaths.tools, "rich-env", "home"),
      CONDA_PKGS_DIRS: join(stackPaths.tools, "rich-env", "pkgs"),
      PYTHONDONTWRITEBYTECODE: "",
    },
  }).output();
  if (success) return;
  const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  throw new Error(`Cannot make the environment: ${command} ${args[0]} failed\n${text}`);
}
