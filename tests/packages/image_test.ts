import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { environmentNames } from "../../lib/cli/option.ts";
import { START_OPTIONS } from "../../lib/cli/options.ts";
import { startCommand } from "../e2e/worker_process.ts";
import { hostPythons, managerPath, stackPaths } from "../stack/stack.ts";
import { one, pairs, reachesBuilder, readDockerfile } from "./dockerfile.ts";
import { available, execute, Folder, tool } from "./support.ts";

const root = stackPaths.root;
const dockerfile = readDockerfile(await Deno.readTextFile(join(root, "Dockerfile")));
const image = dockerfile.stages.at(-1)!;
const build = dockerfile.stages.find((stage) => stage.name === "build")!;

Deno.test("bases are pinned, the user is a number that is not root, and programs are named by path", async () => {
  for (const [name, base] of Object.entries(dockerfile.args)) {
    assertMatch(base, /^[\w./-]+:(?!latest)[\w.-]*\d[\w.-]*$/, name);
  }
  for (const { base } of dockerfile.stages) {
    assertMatch(base, /^\$\{\w+\}$/);
    assert(base.slice(2, -1) in dockerfile.args, base);
  }
  assertEquals(one(image, "USER").text, "1000:0");
  assertEquals(one(image, "ENTRYPOINT").words, [
    "/usr/bin/tini",
    "--",
    "/usr/local/bin/hypha-conda-worker",
  ]);
  assertEquals(
    one(image, "HEALTHCHECK").text.split(/\s+CMD\s+/)[1] ?? one(image, "HEALTHCHECK").text
      .replace(/^CMD\s+/, ""),
    '["/usr/local/bin/hypha-conda-worker", "health"]',
  );
  // The same Deno as everywhere else.
  const pinned = /^DENO_PINNED=(.*)$/m.exec(await Deno.readTextFile(join(root, "scripts/env.sh")));
  assertEquals(dockerfile.args.DENO_IMAGE, `denoland/deno:bin-${pinned?.[1]}`);
  const labels = pairs(image, "LABEL");
  for (const name of ["title", "description", "licenses", "source", "version", "revision"]) {
    assert(`org.opencontainers.image.${name}` in labels, name);
  }
});

Deno.test("variables of the image are options with the least of the spellings, so that others go before them", () => {
  const env = pairs(image, "ENV");
  const own = Object.keys(env).filter((name) => /^(HYPHA|CONDA)_/.test(name));
  assertEquals(own.sort(), ["HYPHA_CONDA_CACHE_DIR", "HYPHA_CONDA_METRICS_PORT"]);
  const last = new Set(START_OPTIONS.map((option) => environmentNames(option).at(-1)));
  for (const name of own) assert(last.has(name), name);
  const volumes = one(image, "VOLUME").words;
  for (const name of ["HYPHA_CONDA_CACHE_DIR", "TMPDIR", "HOME"]) {
    assert(volumes.includes(env[name]!), name);
  }
  assertEquals(one(image, "EXPOSE").text, env.HYPHA_CONDA_METRICS_PORT);
});

Deno.test({
  name: "what is copied into the builder is there, reaches it, and is all that compiling needs",
  // Any program of this system stands in for Deno's run-time.
  ignore: Deno.build.os !== "linux" || !["x86_64", "aarch64"].includes(Deno.build.arch),
  fn: async () => {
    await using folder = await Folder.make("image-");
    const ignore = await Deno.readTextFile(join(root, ".dockerignore"));
    const source = join(folder.path, "src");
    await Deno.mkdir(source);
    const own = (stage: typeof build) =>
      stage.instructions.filter((one) => one.name === "COPY" && one.flags.from === undefined);
    for (const { words } of own(build)) {
      const to = join(source, words.at(-1)!);
      for (const path of words.slice(0, -1)) {
        assert(reachesBuilder(ignore, path), path);
        const directory = (await Deno.stat(join(root, path))).isDirectory;
        const target = words.length > 2 || words.at(-1)!.endsWith("/")
          ? join(to, path.split("/").at(-1)!)
          : to;
        await Deno.mkdir(dirname(target), { recursive: true });
        await execute("cp", [directory ? "-R" : "-p", join(root, path), target]);
      }
    }
    for (const path of [".git/config", "tests/packages", "worker.env", "token.txt", "README.md"]) {
      assert(!reachesBuilder(ignore, path), path);
    }
    for (const { words } of own(image)) assert(reachesBuilder(ignore, words[0]!), words[0]);
    const run = build.instructions.filter((one) => one.name === "RUN").at(-1)!;
    const out = join(folder.path, "out");
    const command = run.text.replaceAll("/out", out);
    assertStringIncludes(command, "scripts/compile.sh --bare");
    const { code, stderr } = await execute("sh", ["-c", command], {
      cwd: source,
      env: {
        TARGETARCH: Deno.build.arch === "x86_64" ? "amd64" : "arm64",
        DENORT_BIN: "/bin/true",
        DENORT_URL: "",
        DENO_DIR: Deno.env.get("DENO_DIR") ?? join(stackPaths.tools, "cache", "deno"),
        PATH: `${dirname(stackPaths.deno)}:${Deno.env.get("PATH")}`,
      },
    });
    assertEquals(code, 0, stderr);
    assertEquals(await folder.files("out"), ["out/hypha-conda-worker"]);
  },
});

Deno.test("deployments that start the Python worker by its module start this one, with the same arguments", async () => {
  await using folder = await Folder.make("image-");
  // Both programs are replaced by one that tells how it was called.
  const tell = await folder.write("tell", '#!/bin/sh\nprintf "%s|" "$0" "$@"\n', 0o755);
  const text = (await Deno.readTextFile(join(root, "deploy/image/python")))
    .replace("/usr/bin/tini", tell);
  const python = await folder.write("python", text, 0o755);
  const { code, stdout } = await execute(python, [
    ...["-m", "hypha.workers.conda", "--server-url", "https://a.b", "--service-id", "x y"],
    "--verbose",
  ]);
  assertEquals(code, 0);
  assertEquals(stdout.split("|").slice(1, -1), [
    ...["--", "/usr/local/bin/hypha-conda-worker", "--server-url", "https://a.b"],
    ...["--service-id", "x y", "--verbose"],
  ]);
  for (const args of [[], ["-c", "print(1)"], ["-m", "http.server"]]) {
    const other = await execute(python, args);
    assertEquals([other.code, other.stdout], [127, ""], args.join(" "));
    assertStringIncludes(other.stderr, "this image has no Python of its own");
  }
});

/**
 * Makes the file system of a container of what this machine has: everything is read-only but the volumes and /tmp,
 * and the user is one that nobody knows. Deno with the permissions of the program stands in for the executable.
 */
const CONTAINER = `
set -eu
mount --make-rprivate /
if [ -n "$PYTHON" ]; then
  mount --bind "$PYTHON" "$ASIDE"
  mount -t tmpfs -o mode=755 tmpfs /root
  mkdir -p "$PYTHON"
  mount --bind "$ASIDE" "$PYTHON"
fi
mount --bind "$VOLUMES" "$VOLUMES"
mount -o remount,bind,ro /
exec setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --clear-groups --no-new-privs --inh-caps=-all \\
  --bounding-set=-all "$@"
`;

const NOBODY = "an app runs as a user nobody knows, with nothing to write to but the volumes";

/** Whether this process may make mounts of its own. */
function mayMount(): boolean {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  const unshare = tool("unshare");
  if (unshare === undefined || tool("setpriv") === undefined) return false;
  const command = new Deno.Command(unshare, {
    args: ["-m", "mount", "--make-rprivate", "/"],
    stderr: "null",
  });
  return command.outputSync().success;
}

async function asNobody(): Promise<void> {
  const unshare = tool("unshare")!;
  // Not below /tmp, which is a file system of its own on some machines.
  const directory = await Deno.makeTempDir({ prefix: "container-", dir: "/var/tmp" });
  try {
    const volumes = join(directory, "volumes");
    const env: Record<string, string> = { ...pairs(image, "ENV") };
    const aside = join(directory, "python");
    await Deno.mkdir(aside);
    for (const name of ["cache", "work", "app", "plots", "deno"]) {
      await Deno.mkdir(join(volumes, name), { recursive: true });
      await Deno.chmod(join(volumes, name), 0o1777);
    }
    await Deno.chmod(directory, 0o755);
    await Deno.chmod(volumes, 0o755);
    for (const [name, value] of Object.entries(env)) {
      if (/^\/(cache|work)$/.test(value)) env[name] = join(volumes, value);
    }
    const manifest = {
      name: "App",
      type: "conda-jupyter-kernel",
      dependencies: ["python=3.11"],
      channels: [stackPaths.channel],
      entry_point: "main.py",
    };
    await Deno.writeTextFile(join(volumes, "app", "manifest.yaml"), JSON.stringify(manifest));
    await Deno.writeTextFile(
      join(volumes, "app", "main.py"),
      `import os, pathlib, tempfile
print(os.getuid(), os.getgid())
try:
    pathlib.Path("/usr/local/written").write_text("x")
except OSError:
    print("refused")
print(pathlib.Path.home().exists(), tempfile.NamedTemporaryFile().name.startswith(os.environ["TMPDIR"]))
`,
    );
    const bundle = join(volumes, "app", "program.js");
    const bundled = await execute(stackPaths.deno, ["bundle", "--quiet", "-o", bundle, "main.ts"]);
    assertEquals(bundled.code, 0, bundled.stderr);
    const flags = (await startCommand()).filter((word) => word !== "main.ts");
    const pythons = [stackPaths.rattlerPython, ...(await hostPythons()).map(({ path }) => path)];
    // Where interpreters of the stack or of its channel lie below a home directory nobody else may enter.
    const home = (await Promise.all(pythons.map((path) => Deno.realPath(path))))
      .map((path) => /^\/root\/[^/]+/.exec(path)?.[0]).find((path) => path !== undefined) ?? "";
    for (const [user, group] of [["8877", "8877"], ["1000680000", "0"]] as const) {
      const output = join(volumes, "plots");
      const { code, stdout, stderr } = await execute(unshare, [
        ...["-m", "sh", "-c", CONTAINER, "sh", stackPaths.deno, ...flags, bundle],
        ...["run", join(volumes, "app"), `--output-dir=${output}`],
        // Each has a cache of its own, as in a container of its own.
        `--cache-dir=${join(volumes, "cache", user)}`,
      ], {
        inherit: false,
        env: {
          ...env,
          DENO_DIR: join(volumes, "deno"),
          PATH: `${managerPath("micromamba")}:/usr/bin:/bin`,
          VOLUMES: volumes,
          PYTHON: home,
          ASIDE: aside,
          USER_ID: user,
          GROUP_ID: group,
        },
      });
      assertEquals([code, stdout], [
        0,
        `${user} ${group}\nrefused\nTrue True\n`,
      ], stderr);
      // Nothing stays in the directory of sessions and sockets.
      assertEquals(await Array.fromAsync(Deno.readDir(join(volumes, "work"))), []);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test({
  name: NOBODY,
  ignore: !available(mayMount(), NOBODY, "root that may mount, unshare and setpriv"),
  fn: asNobody,
});
