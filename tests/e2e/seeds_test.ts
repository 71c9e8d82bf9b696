import { fromFileUrl, join } from "@std/path";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { stackPaths } from "../stack/stack.ts";
import { Stage } from "./stage.ts";

const SEEDS = fromFileUrl(new URL("./seeds", import.meta.url));

/** A text of the documents with server, token, workspace and channel exchanged. */
async function exchanged(stage: Stage, name: string): Promise<string> {
  const text = await Deno.readTextFile(join(SEEDS, name));
  return text
    .replaceAll("https://hypha.aicell.io", stage.server.url)
    .replaceAll("http://localhost:9527", stage.server.url)
    .replaceAll("your-token-here", await stage.server.userToken({ user: "user-1" }))
    .replaceAll("auth-token", await stage.server.userToken({ user: "user-1" }))
    .replaceAll("my-workspace", "ws-user-user-1")
    .replaceAll("conda-forge", stackPaths.channel);
}

/** Runs fragments of a document after a prelude; gives what each printed. */
async function runFragments(
  stage: Stage,
  folder: string,
  prelude: string,
  names: string[],
): Promise<Record<string, string>> {
  const directory = await Deno.makeTempDir({ dir: stage.directory });
  const paths = [];
  await Deno.writeTextFile(join(directory, "prelude.py"), prelude);
  for (const name of names) {
    paths.push(join(directory, name));
    await Deno.writeTextFile(join(directory, name), await exchanged(stage, `${folder}/${name}`));
  }
  const runner = await Deno.readTextFile(join(SEEDS, "run_fragments.py"));
  const script = `import sys\nsys.argv = ${
    JSON.stringify(["run", join(directory, "prelude.py"), ...paths])
  }\n${runner}`;
  const { code, stdout, stderr } = await stage.rawPython(script);
  assertEquals(code, 0, `${stdout}\n${stderr}\n${stage.worker.output()}`);
  return Object.fromEntries(
    stdout.split(/^# /m).slice(1).map((part) => {
      const end = part.indexOf("\n");
      return [part.slice(0, end), part.slice(end + 1)];
    }),
  );
}

const SESSION = `
import os
from hypha_rpc import connect_to_server
server = await connect_to_server({"server_url": os.environ["SERVER"], "workspace": "ws-user-user-1", "token": os.environ["TOKEN_USER_1"]})
conda_worker = await server.get_service("my-conda-worker")
session_id = await conda_worker.start({
    "id": "my-session", "app_id": "my-conda-app", "workspace": "ws-user-user-1",
    "manifest": {"type": "conda-jupyter-kernel", "dependencies": ["python=3.11", "numpy", "pandas"],
                 "channels": [os.environ["CHANNEL"]]},
})
`;

const INSTALLED = `
app_contrller = await server.get_service("public/server-apps")
await app_contrller.install(app_id="my-conda-worker", overwrite=True, timeout=300, manifest={
    "name": "App", "type": "conda-jupyter-kernel", "version": "1.0.0", "entry_point": "main.py",
    "dependencies": ["python=3.11", "numpy", "pandas"], "channels": [os.environ["CHANNEL"]],
    "startup_config": {"wait_for_service": False, "stop_after_inactive": 0},
}, files=[{"path": "main.py", "content": "print('ready')", "format": "text"}])
`;

Deno.test("the examples of the documents run word for word", async (t) => {
  await using stage = await Stage.start({ args: ["--service-id=my-conda-worker"] });

  // The examples give their cells 30 seconds, in which a slow machine cannot compile and import pandas.
  await stage.python(`
server = await connect()
w = await server.get_service("my-conda-worker")
c = config("warm")
c["manifest"]["dependencies"] = ["python=3.11", "numpy", "pandas"]
await w.start(c)
await w.execute("warm", "import numpy, pandas", {"timeout": 600})
async def compiled(): return all(e["size"] for e in await w.list_environments())
await until(compiled, "the modules are compiled", 600)
await w.stop("warm")`);

  await t.step("000: deploy and execute", async () => {
    const { code, stdout, stderr } = await stage.rawPython(await exchanged(stage, "000/deploy.py"));
    assertEquals(code, 0, `${stderr}\n${stage.worker.output()}`);
    assertEquals(stdout, "Output: Mean: 3.0\nStandard deviation: 1.5811388300841898\nSum: 15\n\n");
  });

  await t.step("001: deploy and execute", async () => {
    const { code, stdout, stderr } = await stage.rawPython(await exchanged(stage, "001/deploy.py"));
    assertEquals(code, 0, `${stderr}\n${stage.worker.output()}`);
    assertEquals(stdout, "Output: Mean: 3.0\nStandard deviation: 1.5811388300841898\nSum: 15\n\n");
  });

  await t.step("an entry point without an artifact is a warning, not a failure", async () => {
    const stdout = await stage.python(`
server = await connect()
worker = await server.get_service("my-conda-worker")
logs = await worker.get_logs("my-session")
print("\\n".join(i["content"] for i in logs["items"]))`);
    assertStringIncludes(stdout, "The session starts without its entry script main.py");
  });

  await t.step("000: common use cases", async () => {
    const printed = await runFragments(stage, "000", SESSION, [
      "analysis.py",
      "environment.py",
      "packages.py",
      "results.py",
      "errors.py",
    ]);
    assertStringIncludes(printed["analysis.py"]!, "Dataset shape: (100, 3)");
    assertStringIncludes(printed["environment.py"]!, "Python version: 3.11.");
    assertStringIncludes(printed["packages.py"]!, "Matplotlib not available");
    assertStringIncludes(printed["results.py"]!, "Code executed successfully!");
    assertStringIncludes(printed["results.py"]!, "Execution time: ");
    await stage.python(`
server = await connect()
await (await server.get_service("my-conda-worker")).stop("my-session")`);
  });

  await t.step("001: execute, progress and common use cases", async () => {
    const printed = await runFragments(stage, "001", SESSION + INSTALLED, [
      "execute.py",
      "progress.py",
      "analysis.py",
      "environment.py",
      "packages.py",
      "results.py",
      "errors.py",
    ]);
    assertStringIncludes(printed["execute.py"]!, "📍 Executing code in Jupyter kernel...");
    assertStringIncludes(printed["execute.py"]!, "📍 Code executed successfully");
    assertStringIncludes(printed["progress.py"]!, "✅ Code executed successfully");
    assertStringIncludes(printed["analysis.py"]!, "Dataset shape: (100, 3)");
    assertStringIncludes(printed["environment.py"]!, "Python executable: ");
    assertStringIncludes(printed["packages.py"]!, "Requests not available");
    assertStringIncludes(printed["results.py"]!, "Code executed successfully!");
  });

  for (const seed of ["000", "001"]) {
    await t.step(`${seed}: the manifest and its entry script`, async () => {
      const manifest = await exchanged(stage, `${seed}/manifest.yaml`);
      const main = await exchanged(stage, `${seed}/main.py`);
      const stdout = await stage.python(
        `
import yaml
server = await connect()
apps = await server.get_service("public/server-apps")
manifest = yaml.safe_load(os.environ["MANIFEST"])
manifest["startup_config"] = DETACHED
app = await apps.install(manifest=manifest, app_id="seed-${seed}", overwrite=True, timeout=300, files=files(
    main_dot_py=os.environ["MAIN"], data_dot_csv="a,b", models__one_dot_txt="1", models__deep__two_dot_txt="2",
    source_dot_txt="text", raw_data__x_dot_txt="x"))
session = await apps.start(app["id"])
logs = await apps.get_logs(session["id"], type="stdout")
print("".join(i["content"] for i in logs["items"]))
worker = await server.get_service(session["worker_id"])
code = "import os\\nfor d, _, fs in sorted(os.walk('.')):\\n    for f in sorted(fs): print(os.path.join(d, f))"
print(stdout(await worker.execute(session["id"], code)))
await apps.stop(session["id"])`,
        { MANIFEST: manifest, MAIN: main },
      );
      assertStringIncludes(stdout, "=== Environment Info ===");
      assertStringIncludes(stdout, "Application initialized successfully!");
      const staged = [
        "./data.csv",
        "./models/deep/two.txt",
        "./models/one.txt",
        "./processed_data/x.txt",
        "./renamed.txt",
      ];
      for (const path of seed === "001" ? staged : []) assertStringIncludes(stdout, path);
    });
  }

  await t.step("004: the same calls work on the example worker and on this one", async () => {
    const example = (await exchanged(stage, "004/worker.py")).replace(
      `"server_url": "${stage.server.url}"`,
      `"server_url": "${stage.server.url}", "workspace": "ws-user-user-1", "token": "${await stage
        .server.userToken({ user: "user-1" })}", "client_id": "example"`,
      // Today's client refuses a service without an id, which the document's example leaves out.
    ).replace('"name": "Simple', '"id": "default", "name": "Simple');
    const config = await exchanged(stage, "004/config.py");
    const session = await exchanged(stage, "004/session.py");
    const stdout = await stage.python(
      `
import subprocess
example = subprocess.Popen([sys.executable, "-c", os.environ["EXAMPLE"]], stdout=subprocess.PIPE, text=True)
try:
    for line in example.stdout:
        if "Python worker is running" in line: break
    else:
        raise SystemExit("the example ended with code %s" % example.wait())
    server = await connect()
    config = eval(os.environ["CONFIG"])
    config["workspace"] = "ws-user-user-1"
    config["manifest"] = {"channels": [CHANNEL]}
    session_keys = set(eval(os.environ["SESSION"]))
    for id in ["example:default", "my-conda-worker"]:
        services = await server.list_services({"type": "server-app-worker"})
        name = next(s["id"] for s in services if s["id"].split("/")[1].startswith("example:") == id.startswith("example:"))
        worker = await server.get_service(name)
        await worker.prepare_workspace("ws-user-user-1")
        started = await worker.start(config)
        session_id = started["session_id"] if isinstance(started, dict) else started
        session_id = session_id if "/" in session_id else "ws-user-user-1/" + session_id
        check(session_id == "ws-user-user-1/unique-client-id", session_id)
        sessions = await worker.list_sessions("ws-user-user-1")
        check(session_id in [s["session_id"] for s in sessions], sessions)
        info = await worker.get_session_info(session_id)
        check(info["status"] == "running", info)
        check(session_keys - set(info) <= {"logs"}, session_keys - set(info))
        check(await worker.get_logs(session_id))
        await worker.stop(session_id)
        await worker.close_workspace("ws-user-user-1")
        print("ok", id)
finally:
    example.kill()
    example.wait()`,
      { EXAMPLE: example, CONFIG: config, SESSION: session },
    );
    assertEquals(stdout.match(/^ok /gm)?.length, 2);
  });

  await t.step("nothing is left", async () => {
    assertEquals(await stage.worker.stop(), 0);
    assertEquals(await stage.sessionDirectories(), []);
    assert(!stage.worker.stderr.includes("eyJ"), "a token is in the log");
  });
});
