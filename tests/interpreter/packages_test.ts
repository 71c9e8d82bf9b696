/** Packages that a session installs, with the real pip of environments that a manager has made. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Interpreter } from "../../lib/interpreter/interpreter.ts";
import { hostPythons, managerPath, stackPaths } from "../stack/stack.ts";
import { edgePythons, Kernel, textOf, valueOf } from "./harness.ts";

/** Makes an environment with pip and six by a package manager. */
async function makeEnvironment(prefix: string, python: string): Promise<void> {
  const mamba = join(managerPath("mamba"), "mamba");
  const channel = ["--no-rc", "--override-channels", "-c", stackPaths.channel];
  const { success, stderr } = await new Deno.Command(mamba, {
    args: ["create", "-y", "-p", prefix, ...channel, `python=${python}`, "pip", "six"],
    // Managers note every environment in the home directory, and keep packages there.
    env: { HOME: `${prefix}-home`, CONDA_PKGS_DIRS: `${prefix}-packages` },
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Makes packages for pip: `six` in a version no environment has, and two versions of `leafy` that need it. */
async function makeWheels(directory: string): Promise<void> {
  const program = `
import sys, zipfile
def make(name, version, requires=""):
    info = "%s-%s.dist-info/" % (name, version)
    files = {
        name + ".py": "__version__ = %r\\ndef main():\\n    print('ran', __version__)\\n" % version,
        info + "METADATA": "Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (name, version) + requires,
        info + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "entry_points.txt": "[console_scripts]\\n%s-tool = %s:main\\n" % (name, name),
    }
    record = "".join("%s,,\\n" % path for path in files) + info + "RECORD,,\\n"
    with zipfile.ZipFile("%s/%s-%s-py3-none-any.whl" % (sys.argv[1], name, version), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(info + "RECORD", record)
make("six", "99.0")
make("leafy", "1.0", "Requires-Dist: six>=1\\n")
make("leafy", "2.0", "Requires-Dist: six>=50\\n")
`;
  await Deno.mkdir(directory);
  const { success, stderr } = await new Deno.Command(stackPaths.rattlerPython, {
    args: ["-c", program, directory],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Everything in a directory: names, times, sizes and contents, and where links lead. */
async function stateOf(directory: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    const { mtime, size, mode, ino } = await Deno.lstat(path);
    const about = `${mtime?.getTime()} ${size} ${mode} ${ino}`;
    if (entry.isSymlink) found.set(path, `${about} ${await Deno.readLink(path)}`);
    else if (entry.isDirectory) {
      found.set(path, about);
      for (const [name, state] of await stateOf(path)) found.set(name, state);
    } else {
      const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
      found.set(path, `${about} ${new Uint8Array(digest).toHex()}`);
    }
  }
  return found;
}

/** The oldest and the newest Python of the machine; the channel has both. */
const pythons = (await hostPythons()).map(({ major, minor }) => `${major}.${minor}`);

for (const version of new Set([pythons[0]!, pythons.at(-1)!])) {
  Deno.test(`packages, Python ${version}`, async (t) => {
    const directory = await Deno.makeTempDir({ prefix: "packages-" });
    const prefix = join(directory, "environment");
    const wheels = join(directory, "wheels");
    await Promise.all([makeEnvironment(prefix, version), makeWheels(wheels)]);
    const env = { PIP_NO_INDEX: "1", PIP_FIND_LINKS: wheels, HOME: directory };
    {
      await using kernel = await Kernel.start(join(prefix, "bin", "python"));
      const before = await stateOf(prefix);
      const step = (name: string, test: (run: Run) => Promise<void>) =>
        t.step(name, async () => {
          const session = await kernel.session({ env });
          const run = async (code: string) => {
            const result = await session.execute(code);
            if (result.error) throw new Error(result.error.traceback.join("\n"));
            return textOf(result, "stdout") + textOf(result, "stderr");
          };
          await test(Object.assign(run, { value: (code: string) => valueOf(session, code) }));
          await session.kill();
          assertEquals(await stateOf(prefix), before, "the environment has changed");
        });

      await step("what is there already is not installed again", async (run) => {
        const text = await run("%pip install leafy==1.0");
        assertStringIncludes(text, "Requirement already satisfied: six>=1");
        assertEquals(await run.value("import leafy, six\nleafy.__version__"), "'1.0'");
        assertEquals(await run.value("six.__file__.startswith(__import__('sys').prefix)"), "True");
        assertEquals(await run.value("_exit_code"), "0");
      });
      await step(
        "another version hides the environment's, also in other processes",
        async (run) => {
          await run("%pip install leafy");
          assertEquals(await run.value("import six, leafy\nsix.__version__"), "'99.0'");
          assertEquals(
            await run("!leafy-tool\n!python -c 'import six; six.main()'"),
            "ran 2.0\nran 99.0\n",
          );
          const child = "import sys, subprocess\n" +
            "subprocess.check_output([sys.executable, '-c', 'import six; six.main()'])";
          assertEquals(await run.value(child), "b'ran 99.0\\n'");
          const pool = "import multiprocessing, importlib\n" +
            "with multiprocessing.get_context('spawn').Pool(1) as pool:\n" +
            "    version = pool.apply(eval, ['__import__(\"six\").__version__'])\nversion";
          assertEquals(await run.value(pool), "'99.0'");
        },
      );
      await step("a module that is in use and gets another version is named", async (run) => {
        assertEquals(await run.value("import six\nsix.__version__"), "'1.17.0'");
        const text = await run("%pip install six==99.0");
        assertStringIncludes(text, "Note: restart the session to use what was installed of six");
        assertEquals((await run("%pip install leafy")).includes("Note:"), false);
      });
      await step("all ways to pip lead into the overlay", async (run) => {
        await run("!pip install leafy==1.0");
        assertEquals(await run.value("import leafy\nleafy.__version__"), "'1.0'");
        const code = "import subprocess, sys\n" +
          "subprocess.run([sys.executable, '-m', 'pip', 'install', 'six==99.0'], check=True)";
        await run(code);
        await run("%%bash\npip3 uninstall -y leafy\npython -m pip install leafy==2.0");
        assertEquals(await run.value("out = !leafy-tool\nout"), "['ran 2.0']");
      });
      await step("packages of the overlay are removed, the environment's stay", async (run) => {
        await run("%pip install leafy==2.0");
        assertStringIncludes(await run("%pip list"), "leafy");
        assertStringIncludes(await run("%pip freeze"), "six==99.0");
        assertStringIncludes(await run("%pip show leafy"), "/overlay/lib/");
        await run("%pip uninstall leafy six");
        assertEquals((await run("%pip list")).includes("leafy"), false);
        assertEquals(await run.value("import six\nsix.__version__"), "'1.17.0'");
        assertStringIncludes(await run("%pip uninstall six"), "Not uninstalling six");
        assertStringIncludes(await run("%pip list"), "six");
        assertStringIncludes(await run("%pip freeze"), "six==1.17.0");
        assertStringIncludes(await run("%pip show six"), "Version: 1.17.0");
      });
      await step("sessions do not see each other's packages", async (run) => {
        assertEquals(
          await run.value("import importlib.util\nimportlib.util.find_spec('leafy') is None"),
          "True",
        );
      });
      await step("a project installed for editing can be imported at once", async (run) => {
        await run(
          "import os\nos.makedirs('src')\nopen('src/edited.py', 'w').write('x = 5')\n" +
            "site = os.path.join(os.environ['VIRTUAL_ENV'], 'lib')\n" +
            "site = os.path.join(site, os.listdir(site)[0], 'site-packages')\n" +
            "open(os.path.join(site, 'edited.pth'), 'w').write(os.path.abspath('src'))\n!true",
        );
        assertEquals(await run.value("import edited\nedited.x"), "5");
      });
      await step("a package that does not exist leaves its exit code", async (run) => {
        assertStringIncludes(await run("%pip install no-such-thing"), "No matching distribution");
        assertEquals(await run.value("_exit_code"), "1");
      });
    }
    await Deno.remove(directory, { recursive: true });
  });
}

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];
  // Environments of the test channel are virtual ones themselves; those of real channels are like this one.
  Deno.test(`packages beside an ordinary Python, Python ${version}`, async (t) => {
    await using kernel = await Kernel.start(python);
    const wheels = join(kernel.directory, "wheels");
    await makeWheels(wheels);
    const env = { PIP_NO_INDEX: "1", PIP_FIND_LINKS: wheels, HOME: wheels };
    const session = await kernel.session({ env });
    const names = "sorted(__import__('os').listdir(__import__('site').getsitepackages()[0]))";
    const before = await valueOf(session, names);

    await t.step("packages go into the overlay", async () => {
      await session.execute("%pip install leafy");
      const code = "import leafy, six, sys, os\nroot = os.environ['VIRTUAL_ENV']\n" +
        "[leafy.__version__, six.__version__, six.__file__.startswith(root), sys.prefix == root]";
      assertEquals(await valueOf(session, code), "['2.0', '99.0', True, False]");
      assertEquals(await valueOf(session, "lines = !leafy-tool\nlines"), "['ran 2.0']");
      assertEquals(await valueOf(session, names), before);
    });
    await t.step("the environment's own pip refuses to work", async () => {
      const result = await session.execute(
        "!{sys._base_executable} -m pip uninstall -y no-such-thing",
      );
      assertStringIncludes(textOf(result, "stderr"), "Could not find an activated virtualenv");
    });
    await t.step("an overlay that is there is used again", async () => {
      const overlay = await valueOf(session, "print(root)\nroot");
      const next = await kernel.session({ overlay: overlay!.slice(1, -1) });
      assertEquals(await valueOf(next, "import leafy\nleafy.__version__"), "'2.0'");
      await next.kill();
    });
    await t.step("without an overlay nothing is installed", async () => {
      const cwd = join(kernel.directory, "alone");
      await Deno.mkdir(cwd);
      const alone = await Interpreter.start(kernel.server, kernel.switchboard, { cwd, env: {} });
      const result = await alone.execute("%pip install leafy");
      assertEquals(result.error?.ename, "UsageError");
      await alone.kill();
    });
    await session.kill();
  });
}

/** Runs a cell and gives what it prints; `value` gives its result. */
type Run = ((code: string) => Promise<string>) & {
  value: (code: string) => Promise<string | undefined>;
};
