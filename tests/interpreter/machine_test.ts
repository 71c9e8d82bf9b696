import { assert, assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import type { Resources } from "../../lib/interpreter/resources.ts";
import { edgePythons, suite } from "./harness.ts";

const FOLDER = fromFileUrl(new URL("../../lib/interpreter/python", import.meta.url));

/** What `machine.py` finds below a fake root with the given files. */
async function describe(
  python: string,
  files: Record<string, string>,
  variables: Record<string, string> = {},
): Promise<Resources> {
  const root = await Deno.makeTempDir();
  try {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(root, path)), { recursive: true });
      await Deno.writeTextFile(join(root, path), text);
    }
    const code = "import json, os, sys\nsys.path.insert(0, sys.argv[1])\n" +
      "from hypha_kernel import machine\n" +
      "pid = os.getpid()\nroot = sys.argv[2]\n" +
      "if os.path.isdir(root + '/proc/self'): os.rename(root + '/proc/self', root + '/proc/%d' % pid)\n" +
      "print(json.dumps(machine.describe(pid, json.loads(sys.argv[3]), root)))";
    const { stdout, stderr, success } = await new Deno.Command(python, {
      args: ["-B", "-c", code, FOLDER, root, JSON.stringify(variables)],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return JSON.parse(new TextDecoder().decode(stdout));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];

  Deno.test(`fake machine: the lowest limit of the groups above counts, version 2, Python ${version}`, async () => {
    const found = await describe(python, {
      "proc/self/cgroup": "0::/a/b\n",
      "proc/meminfo": "MemTotal:       16384 kB\nMemFree: 1 kB\n",
      "sys/fs/cgroup/a/cpu.max": "50000 100000\n",
      "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
      "sys/fs/cgroup/a/memory.max": "8388608\n",
      "sys/fs/cgroup/a/b/memory.max": "max\n",
      "sys/fs/cgroup/a/b/pids.max": "100\n",
    });
    assertEquals([found.cpu_quota, found.cpus], [0.5, 0.5]);
    assertEquals([found.memory_limit, found.memory_total], [8388608, 16777216]);
    assertEquals(found.process_limit, 100);
  });

  Deno.test(`fake machine: groups of version 1, seen from inside a container, Python ${version}`, async () => {
    const found = await describe(python, {
      // The paths are the host's; what is mounted is the container's own group.
      "proc/self/cgroup": "4:memory:/docker/123\n3:cpu,cpuacct:/docker/123\n2:pids:/\n0::/\n",
      "proc/meminfo": "MemTotal:       16384 kB\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "1048576\n",
      "sys/fs/cgroup/pids/pids.max": "max\n",
    });
    assertEquals([found.cpu_quota, found.memory_limit, found.process_limit], [1.5, 1048576, null]);
    const unlimited = await describe(python, {
      "proc/self/cgroup": "4:memory:/\n3:cpu:/\n",
      "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    });
    assertEquals([unlimited.cpu_quota, unlimited.memory_limit], [null, null]);
    assertEquals(unlimited.cpus, unlimited.cpu_affinity);
  });

  Deno.test(`fake machine: graphics processors with a device file are listed, Python ${version}`, async () => {
    const information = (minor: number) =>
      `Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 16\nGPU UUID: \t GPU-0000000${minor}-aa\n` +
      `Bus Location: \t 0000:0${minor}:00.0\nDevice Minor: \t ${minor}\n`;
    const found = await describe(python, {
      "dev/nvidia0": "",
      "dev/nvidia10": "",
      "dev/nvidiactl": "",
      "dev/nvidia-uvm": "",
      "dev/kfd": "",
      "dev/dri/card0": "",
      "dev/dri/renderD128": "",
      "dev/dri/renderD129": "",
      "dev/dri/renderD130": "",
      "sys/class/drm/renderD128/device/vendor": "0x1002\n",
      "sys/class/drm/renderD129/device/vendor": "0x10de\n",
      "sys/class/drm/renderD130/device/vendor": "0x8086\n",
      "proc/driver/nvidia/gpus/0000:00:00.0/information": information(0),
      // The driver knows it, but this container has not been given it.
      "proc/driver/nvidia/gpus/0000:01:00.0/information": information(1),
    }, { CUDA_VISIBLE_DEVICES: "0" });
    assertEquals(found.gpu.visible, {
      CUDA_VISIBLE_DEVICES: "0",
      NVIDIA_VISIBLE_DEVICES: null,
      HIP_VISIBLE_DEVICES: null,
      ROCR_VISIBLE_DEVICES: null,
    });
    assertEquals(
      found.gpu.devices.map(({ vendor, device, name, uuid, compute }) => [
        vendor,
        device,
        name,
        uuid,
        compute,
      ]),
      [
        ["nvidia", "/dev/nvidia0", "NVIDIA A100-SXM4-40GB", "GPU-00000000-aa", undefined],
        ["nvidia", "/dev/nvidia10", null, null, undefined],
        ["amd", "/dev/dri/renderD128", null, null, true],
        ["intel", "/dev/dri/renderD130", null, null, false],
      ],
    );
    assertEquals(found.gpu.devices[0]!.bus, "0000:00:00.0");
  });

  Deno.test(`fake machine: without any of its files little is known, Python ${version}`, async () => {
    const found = await describe(python, {});
    assertEquals(found.gpu.devices, []);
    assertEquals([found.memory_total, found.cpu_quota, found.process_limit], [null, null, null]);
    assert(found.cpus! >= 1);
  });
}

await suite("resources", {
  "a session is told of its own limits and variables": async (_, kernel) => {
    const session = await kernel.session({
      limits: { memory: 2 ** 32 },
      env: { CUDA_VISIBLE_DEVICES: "3", HIP_VISIBLE_DEVICES: null },
    });
    const code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])";
    const before = await session.resources();
    await session.execute(code);
    const after = await session.resources();
    assertEquals([before!.memory_limit! <= 2 ** 32, after!.cpu_affinity, after!.cpus! <= 1], [
      true,
      1,
      true,
    ]);
    assertEquals(before!.gpu.visible.CUDA_VISIBLE_DEVICES, "3");
    assertEquals(before!.gpu.visible.HIP_VISIBLE_DEVICES, null);
    await session.kill();
    assertEquals(await session.resources(), undefined);
  },
});
