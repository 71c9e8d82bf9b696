"""What of the machine a process may use: processors, memory, graphics processors. Linux; elsewhere little is known.

The worker cannot look by itself: its permissions keep it out of ``/proc``, ``/sys`` and ``/dev``.
"""

import os
import re
from typing import Any, Callable, Dict, Iterator, List, Optional

try:
    import resource
except ImportError:  # pragma: no cover  not on Windows
    resource = None  # type: ignore[assignment]

#: Variables that decide which graphics processors programs use.
DEVICE_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
)


def describe(pid: int, variables: Dict[str, str], root: str = "/") -> Dict[str, Any]:
    """What a process may use. ``root`` is where ``proc``, ``sys`` and ``dev`` are."""
    affinity = _affinity(pid)
    quota = _cpu_quota(pid, root)
    known = [number for number in (affinity, quota) if number is not None]
    total = _memory_total(root)
    limits = [_address_space(pid), _cgroup_memory(pid, root), total]
    finite = [limit for limit in limits if limit is not None]
    return {
        "cpus": min(known) if known else os.cpu_count(),
        "cpu_affinity": affinity,
        "cpu_quota": quota,
        "memory_limit": min(finite) if finite else None,
        "memory_total": total,
        "process_limit": _cgroup_number(pid, root, "pids", "pids.max", "pids.max"),
        "gpu": {
            "visible": {name: variables.get(name) for name in DEVICE_VARIABLES},
            "devices": nvidia(root) + other_gpus(root),
        },
    }


def _read(path: str) -> Optional[str]:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _list(path: str) -> List[str]:
    try:
        # 10 comes after 9.
        return sorted(os.listdir(path), key=lambda name: (len(name), name))
    except OSError:
        return []


def _affinity(pid: int) -> Optional[int]:
    try:
        return len(os.sched_getaffinity(pid))
    except (AttributeError, OSError):
        return None


def _address_space(pid: int) -> Optional[int]:
    try:
        soft, _hard = resource.prlimit(pid, resource.RLIMIT_AS)
    except (AttributeError, OSError, ValueError):
        return None
    return None if soft == resource.RLIM_INFINITY else int(soft)


def _memory_total(root: str) -> Optional[int]:
    match = re.search(r"^MemTotal:\s+(\d+) kB", _read(os.path.join(root, "proc/meminfo")) or "", re.M)
    return int(match.group(1)) * 1024 if match else None


# Control groups: a limit of any group above counts too. Version 2 has one tree, version 1 one for each controller.


def _groups(pid: int, root: str, controller: str) -> Iterator[str]:
    """Directories of the control groups of a process, its own first; of both versions."""
    mount = os.path.join(root, "sys/fs/cgroup")
    for line in (_read(os.path.join(root, "proc/%d/cgroup" % pid)) or "").splitlines():
        _number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names == "":
            bases = [mount, os.path.join(mount, "unified")]
        elif controller in names.split(","):
            bases = [os.path.join(mount, name) for name in {names, controller}]
        else:
            continue
        # In a container the path may be the host's, which is not to be seen: the top is what is mounted.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for base in bases:
            for count in range(len(parts), -1, -1):
                yield os.path.join(base, *parts[:count])


def _lowest(
    pid: int, root: str, controller: str, read: Callable[[str], Optional[float]]
) -> Optional[float]:
    found = [read(group) for group in _groups(pid, root, controller)]
    return min((number for number in found if number is not None), default=None)


def _number(text: Optional[str]) -> Optional[int]:
    text = (text or "").strip()
    return int(text) if text.isdigit() else None


def _cgroup_number(pid: int, root: str, controller: str, *names: str) -> Optional[int]:
    def read(group: str) -> Optional[float]:
        numbers = [_number(_read(os.path.join(group, name))) for name in names]
        # Version 1 writes "no limit" as a number near the greatest.
        return min((one for one in numbers if one is not None and one < 2**60), default=None)

    lowest = _lowest(pid, root, controller, read)
    return None if lowest is None else int(lowest)


def _cgroup_memory(pid: int, root: str) -> Optional[int]:
    return _cgroup_number(pid, root, "memory", "memory.max", "memory.limit_in_bytes")


def _cpu_quota(pid: int, root: str) -> Optional[float]:
    def read(group: str) -> Optional[float]:
        words = (_read(os.path.join(group, "cpu.max")) or "").split()
        if len(words) == 2 and words[0] != "max":
            return int(words[0]) / int(words[1])
        quota = _number(_read(os.path.join(group, "cpu.cfs_quota_us")))
        period = _number(_read(os.path.join(group, "cpu.cfs_period_us")))
        return quota / period if quota and period else None

    quota = _lowest(pid, root, "cpu", read)
    return None if quota is None else round(quota, 3)


# Graphics processors: what the driver tells, and the device files of this machine or container.


def nvidia(root: str) -> List[Dict[str, Any]]:
    """NVIDIA's devices: as the driver describes them, but only those that have a device file here."""
    files = [name for name in _list(os.path.join(root, "dev")) if re.match(r"nvidia\d+$", name)]
    described = {}  # type: Dict[str, Dict[str, Any]]
    folder = os.path.join(root, "proc/driver/nvidia/gpus")
    for name in _list(folder):
        text = _read(os.path.join(folder, name, "information")) or ""
        facts = dict(re.findall(r"^([^:\n]+):[ \t]*(.*?)[ \t]*$", text, re.M))
        if "Device Minor" in facts:
            described["nvidia" + facts["Device Minor"]] = facts
    return [
        {
            "vendor": "nvidia",
            "device": "/dev/" + name,
            "name": described.get(name, {}).get("Model"),
            "uuid": described.get(name, {}).get("GPU UUID"),
            "bus": described.get(name, {}).get("Bus Location"),
        }
        for name in files
    ]


_VENDORS = {"0x1002": "amd", "0x8086": "intel", "0x10de": "nvidia"}


def other_gpus(root: str) -> List[Dict[str, Any]]:
    """Devices of other makers, by their render nodes; NVIDIA's have device files of their own."""
    found = []
    for name in _list(os.path.join(root, "dev/dri")):
        if not re.match(r"renderD\d+$", name):
            continue
        code = (_read(os.path.join(root, "sys/class/drm", name, "device/vendor")) or "").strip()
        vendor = _VENDORS.get(code)
        if vendor == "nvidia":
            continue
        compute = vendor == "amd" and os.path.exists(os.path.join(root, "dev/kfd"))
        found.append(
            {
                "vendor": vendor,
                "device": "/dev/dri/" + name,
                "name": None,
                "uuid": None,
                "bus": None,
                # ROCm needs /dev/kfd too.
                "compute": compute,
            }
        )
    return found
