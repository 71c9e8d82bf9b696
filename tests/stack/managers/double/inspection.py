"""The commands that only look: `list`, `env export`, `env list`, `info`, `config list` - and `clean`."""

import glob
import json
import os
import platform
import shutil
import sys
from typing import Any, Dict, List

from .cache import pkgs_dirs
from .faults import Invocation
from .options import Parsed
from .solver import Request, in_order

Row = Dict[str, Any]


def run(invocation: Invocation, command: str, parsed: Parsed, prefix: str, root: str) -> int:
    """Does one of them; returns the exit code."""
    kind = invocation.kind
    prefix = prefix or os.environ.get("CONDA_PREFIX") or root
    if command in ("list", "env export"):
        if not os.path.isdir(f"{prefix}/conda-meta"):
            return missing_prefix(kind, prefix)
        rows = installed(prefix)
        show = export if command == "env export" else listing
        return show(kind, parsed, prefix, rows)
    if command == "env list":
        envs = registered(root)
        if parsed.has("json"):
            dump(kind, {"envs": envs})
        else:
            sys.stdout.write("".join(f"{env}\n" for env in envs))
        return 0
    if command == "info":
        return info(invocation, parsed, prefix, root)
    if command == "config list":
        caches = "".join(f"  - {path}\n" for path in pkgs_dirs(kind, root))
        sys.stdout.write(f"pkgs_dirs:\n{caches}")
        return 0
    return clean(kind, parsed, root)


def dump(kind: str, document: Any) -> None:
    """JSON in the layout of the program."""
    if kind == "conda":
        sys.stdout.write(json.dumps(document, indent=2))
    else:
        sys.stdout.write(json.dumps(document, indent=4, sort_keys=True, ensure_ascii=False) + "\n")


def missing_prefix(kind: str, prefix: str) -> int:
    """A prefix that is no environment."""
    if kind == "conda":
        sys.stderr.write(f"\nEnvironmentLocationNotFound: Not a conda environment: {prefix}\n\n")
        return 1
    sys.stderr.write(
        "info     libmamba ****************** Backtrace Start ******************\n"
        f"error    libmamba No prefix found at: {prefix}\n"
        f'error    libmamba Environment must first be created with "{kind} create -n {{env_name}} ..."\n'
        "critical libmamba Aborting.\n"
        "info     libmamba ****************** Backtrace End ********************\n"
    )
    return 1


def installed(prefix: str) -> List[Row]:
    """The conda-meta records, by name."""
    rows = []
    for path in glob.glob(f"{glob.escape(prefix)}/conda-meta/*.json"):
        with open(path, encoding="utf-8") as file:
            rows.append(json.load(file))
    return sorted(rows, key=lambda row: row["name"])


def pip_rows(prefix: str, rows: List[Row]) -> List[Row]:
    """What pip has put beside the conda packages; the real mamba asks pip, this reads its traces."""
    known = {path for row in rows for path in row["files"]}
    found = []
    for path in glob.glob(f"{glob.escape(prefix)}/lib/python*/site-packages/*.dist-info/METADATA"):
        if os.path.relpath(path, prefix) in known:
            continue
        name, _, version = os.path.basename(os.path.dirname(path))[: -len(".dist-info")].rpartition("-")
        found.append({"name": name.replace("_", "-").lower(), "version": version})
    return sorted(found, key=lambda row: row["name"])


def short(channel: str) -> str:
    """The name of a channel where programs do not show its address."""
    return channel.rstrip("/").rpartition("/")[2]


def stem(row: Row) -> str:
    """name-version-build."""
    return f"{row['name']}-{row['version']}-{row['build']}"


def listing(kind: str, parsed: Parsed, prefix: str, rows: List[Row]) -> int:
    """`list`."""
    if parsed.has("explicit"):
        return explicit_list(kind, parsed, prefix, rows)
    pip = [] if kind != "mamba" or parsed.has("no_pip") else pip_rows(prefix, rows)
    if parsed.positional:
        wanted = parsed.positional[0]
        rows, pip = ([row for row in part if wanted in row["name"]] for part in (rows, pip))
    if parsed.has("json"):
        dump(kind, [json_row(kind, row) for row in rows] + [pip_json_row(row) for row in pip])
        return 0
    if kind == "conda":
        sys.stdout.write(f"# packages in environment at {prefix}:\n#\n")
        sys.stdout.write(f"# {'Name':<24} {'Version':<16} {'Build':<16} Channel\n")
        for row in rows:
            sys.stdout.write(f"{row['name']:<26} {row['version']:<16} {row['build']:<16} {row['channel']}\n")
        return 0
    channel = short if kind == "micromamba" else str
    table = [["Name", "Version", "Build", "Channel"]]
    table += [[row["name"], row["version"], row["build"], channel(row["channel"])] for row in rows]
    table += [[row["name"], row["version"], "pypi_0", "pypi"] for row in pip]
    widths = [max(len(line[column]) for line in table) for column in range(4)]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in table]
    lines.insert(1, "─" * (sum(widths) + 10))
    sys.stdout.write(f'List of packages in environment: "{prefix}"\n\n' + "\n".join(lines) + "\n")
    return 0


def json_row(kind: str, row: Row) -> Row:
    """A conda package in `list --json`."""
    shown = {
        "base_url": row["channel"], "build_number": row["build_number"], "build_string": row["build"],
        "channel": row["channel"] if kind == "mamba" else short(row["channel"]), "dist_name": stem(row),
        "name": row["name"], "platform": row["subdir"], "version": row["version"],
    }
    if kind == "mamba":
        shown.update(md5=row.get("md5", ""), sha256=row.get("sha256", ""), url=row["url"])
    return shown


def pip_json_row(row: Row) -> Row:
    """A pip package in `list --json`."""
    return {
        "base_url": "", "build_number": 0, "build_string": "pypi_0", "channel": "pypi",
        "dist_name": f"{row['name']}-{row['version']}-pypi_0", "md5": "", "name": row["name"],
        "platform": f"linux-{platform.machine()}", "sha256": "", "url": "", "version": row["version"],
    }


def ordered(rows: List[Row]) -> List[Row]:
    """Dependencies first."""
    return in_order(Request(specs=[], channels=[], cache=""), rows)


def address(row: Row, algorithm: str) -> str:
    """A line of an explicit list."""
    checksum = row.get(algorithm, "") if algorithm else ""
    return f"{row['url']}#{checksum}\n" if checksum else f"{row['url']}\n"


HEADER = "# This file may be used to create an environment using:\n# $ conda create --name <env> --file <this file>\n"


def explicit_list(kind: str, parsed: Parsed, prefix: str, rows: List[Row]) -> int:
    """`list --explicit`: a lock file from conda, something less from mamba."""
    algorithm = next((name for name in ("md5", "sha256") if parsed.has(name)), "")
    if kind == "conda":
        sys.stdout.write(f"{HEADER}# platform: linux-64\n# created-by: conda 26.7.1\n@EXPLICIT\n")
        sys.stdout.write("".join(address(row, algorithm) for row in ordered(rows)))
        return 0
    sys.stdout.write(f'List of packages in environment: "{prefix}"\n\n')
    sys.stdout.write("".join(address(row, algorithm) for row in rows) + "#\n")
    return 0


def export(kind: str, parsed: Parsed, prefix: str, rows: List[Row]) -> int:
    """`env export`."""
    if parsed.has("explicit"):
        sys.stdout.write(f"{HEADER}# platform: linux-64\n@EXPLICIT\n")
        sys.stdout.write("".join(address(row, "md5") for row in ordered(rows)))
        return 0
    plain = parsed.has("no_builds") or parsed.has("no_build")
    if parsed.has("from_history"):
        dependencies = from_history(prefix)
    else:
        dependencies = [f"{r['name']}={r['version']}" + ("" if plain else f"={r['build']}") for r in rows]
    channels = list(dict.fromkeys(row["channel"] for row in rows))
    pip = [f"{row['name']}=={row['version']}" for row in pip_rows(prefix, rows)] if kind != "micromamba" else []
    if kind == "mamba" and parsed.has("json"):
        return export_json(prefix, channels, dependencies, pip)
    indent = "" if kind == "micromamba" else "  "
    shown = [short(channel) for channel in channels] if kind == "micromamba" else channels
    text = f"name: {prefix if kind == 'conda' else ''}\nchannels:\n"
    text += "".join(f"{indent}- {channel}\n" for channel in shown) + "dependencies:\n"
    text += "".join(f"{indent}- {dependency}\n" for dependency in dependencies)
    if pip:
        text += f"{indent}- pip:\n" + "".join(f"{indent}  - {package}\n" for package in pip)
    if kind == "mamba":
        text += f'\nprefix: "{prefix}"\n' if pip else f'prefix: "{prefix}"\n'
    elif kind == "micromamba":
        text += "\n"
    elif kind == "conda":
        text += f"prefix: {prefix}\n"
    sys.stdout.write(text)
    return 0


def export_json(prefix: str, channels: List[str], dependencies: List[str], pip: List[str]) -> int:
    """mamba writes this document by hand, with a layout of its own."""
    quoted = [f'    "{dependency}"' for dependency in dependencies]
    if pip:
        inner = ",\n".join(f'      "{package}"' for package in pip)
        quoted.append(f'     {{ "pip": [\n{inner}\n    ]\n    }}')
    listed = ",\n".join(f'    "{channel}"' for channel in channels)
    sys.stdout.write(
        f'{{\n  "channels": [\n{listed}\n  ],\n  "dependencies": [\n' + ",\n".join(quoted)
        + f'\n  ],\n  "name": "",\n  "prefix": "{prefix}"\n}}\n'
    )
    return 0


def from_history(prefix: str) -> List[str]:
    """The specs asked for, by name."""
    with open(f"{prefix}/conda-meta/history", encoding="utf-8") as file:
        found = [line for line in file if line.startswith("# update specs: ")]
    text = found[-1].partition(": ")[2].replace("'", '"') if found else "[]"
    return sorted(json.loads(text))


def registered(root: str) -> List[str]:
    """The environments in the list of the home folder, and the root."""
    try:
        with open(os.path.join(os.environ.get("HOME", "/"), ".conda", "environments.txt"), encoding="utf-8") as file:
            envs = [line.strip() for line in file if line.strip()]
    except OSError:
        envs = []
    return sorted({env for env in envs if os.path.isdir(env)} | {root})


def info(invocation: Invocation, parsed: Parsed, prefix: str, root: str) -> int:
    """`info`, without the versions of libraries these doubles do not have."""
    kind = invocation.kind
    release = platform.release().split("-")[0]
    libc = platform.libc_ver()[1] or "2.17"
    home = os.environ.get("HOME", "/")
    if kind == "conda":
        from .program import VERSIONS

        document: Dict[str, Any] = {
            "platform": "linux-64", "conda_version": VERSIONS[kind], "conda_env_version": VERSIONS[kind],
            "root_prefix": root, "conda_prefix": root, "root_writable": False,
            "pkgs_dirs": pkgs_dirs(kind, root), "envs_dirs": [f"{home}/.conda/envs", f"{root}/envs"],
            "default_prefix": root, "active_prefix": os.environ.get("CONDA_PREFIX"), "channels": [],
            "user_rc_path": f"{home}/.condarc", "offline": parsed.has("offline"), "envs": registered(root),
            "python_version": f"{platform.python_version()}.final.0", "config_files": [],
            "virtual_pkgs": [["__conda", VERSIONS[kind], "0"], ["__glibc", libc, "0"], ["__linux", release, "0"],
                             ["__unix", "0", "0"]],
            "solver": {"name": "classic", "user_agent": "solver/classic", "default": False},
        }
    else:
        from .program import VERSIONS

        named = os.path.isdir(f"{prefix}/conda-meta")
        document = {
            "base environment": root, "channels": [] if kind == "mamba" else None, "env location": prefix if named else "-",
            "environment": prefix if named else "None (not found)", "envs directories": [f"{root}/envs"],
            "libmamba version": VERSIONS[kind], f"{kind} version": VERSIONS[kind],
            "package cache": pkgs_dirs(kind, root), "platform": "linux-64",
            "populated config files": [] if kind == "mamba" else None, "user config files": [f"{home}/.mambarc"],
            "virtual packages": ["__unix=0=0", f"__linux={release}=0", f"__glibc={libc}=0"],
        }
    if parsed.has("json"):
        dump(kind, document)
    else:
        width = max(len(key) for key in document)
        for key, value in document.items():
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            sys.stdout.write(f"{key:>{width}} : {shown}\n")
    return 0


def clean(kind: str, parsed: Parsed, root: str) -> int:
    """`clean`: empties the package cache of what is asked for."""
    everything = parsed.has("all")
    for cache in pkgs_dirs(kind, root):
        if everything or parsed.has("index_cache"):
            shutil.rmtree(f"{cache}/cache", ignore_errors=True)
        for folder, folders, files in os.walk(cache):
            if everything or parsed.has("tarballs"):
                for name in files:
                    if name.endswith((".tar.bz2", ".conda")):
                        os.unlink(os.path.join(folder, name))
            if everything or parsed.has("packages"):
                for name in list(folders):
                    if os.path.isdir(os.path.join(folder, name, "info")):
                        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
            folders[:] = [name for name in folders if not os.path.isdir(os.path.join(folder, name, "info"))]
    if parsed.has("json") and kind == "conda":
        dump(kind, {"success": True})
    return 0
