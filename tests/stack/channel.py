"""Builds the small conda channel of the test stack.

    python channel.py WHEELS OLD_PIP OUTPUT

WHEELS is a folder into which the wheels of requirements/channel.txt are installed, OLD_PIP one with a
pip for interpreters that the current one has left behind. The result is an ordinary channel: archives
and a repodata.json in OUTPUT/noarch and OUTPUT/linux-64. It is built beside OUTPUT and swapped in, so
that a reader never sees a half-made one.

A `python` package is a virtual environment in disguise: `pyvenv.cfg` and a link to an interpreter of
this machine. That costs a kilobyte instead of 30 MB, and the prefix behaves as with the real package:
its own site-packages, its own sys.prefix. Everything else is a real package with real files.
"""

import bz2
import concurrent.futures
import csv
import hashlib
import importlib.util
import io
import json
import marshal
import os
import re
import shutil
import struct
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

sys.path.insert(0, str(Path(__file__).parent))
import channel_toys
import interpreters

BIG = 1 << 20
"""From this many bytes on a package is packed as .conda: zstd is ten times faster than bzip2."""

TIME = 315532800
"""Of all files, in seconds: 1980, which is what rattler makes of anything earlier."""


class Package(NamedTuple):
    """What goes into one archive, before it is packed."""

    name: str
    version: str
    build: str
    subdir: str
    depends: List[str]
    files: Dict[str, Tuple[str, Any, int]]
    """path -> ("file", bytes or Path, mode) or ("link", target, 0)"""
    noarch: Optional[str] = None
    entry_points: Tuple[str, ...] = ()
    placeholders: Tuple[str, ...] = ()
    index: Optional[Dict[str, Any]] = None
    wrong_checksum: bool = False


PLACEHOLDER = "/opt/placeholder" + "_placehold" * 20
"""The prefix written into text files; a manager replaces it by the real one."""


def entry_point_script(target: str) -> bytes:
    """The script of a console entry point in a platform package, as conda-build writes it."""
    module, _, function = target.partition(":")
    return (
        f"#!{PLACEHOLDER}/bin/python\n"
        "import sys\n"
        f"from {module} import {function.split('.')[0]}\n"
        'if __name__ == "__main__":\n'
        f"    sys.exit({function}())\n"
    ).encode()


def conda_version_spec(specifier: str) -> str:
    """`>=1,<2` of a wheel's requirement in the grammar of conda, where `~=` and `===` read differently."""
    parts = []
    for part in filter(None, (p.strip() for p in specifier.strip("()").split(","))):
        match = re.match(r"(~=|===|==|!=|<=|>=|<|>)\s*(.+)$", part)
        if match is None:
            raise ValueError(f"Cannot read the version specifier '{part}'")
        operator, version = match.groups()
        if operator == "~=":
            parts += [f">={version}", f"{version.rsplit('.', 1)[0]}.*"]
        else:
            parts.append(("==" if operator == "===" else operator) + version)
    return ",".join(parts)


def requirements(metadata: Any, names: Dict[str, str], python: str) -> Iterator[str]:
    """The `depends` that follow from Requires-Dist; extras and other platforms are left out."""
    from packaging.requirements import Requirement

    for line in metadata.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"extra": "", "python_version": python}):
            continue
        key = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if key not in names:
            raise ValueError(f"{metadata['Name']} needs {key}, which requirements/channel.txt lacks")
        yield f"{names[key]} {conda_version_spec(str(requirement.specifier))}".strip()


def wheel_package(
    root: Path, info: Path, names: Dict[str, str], python: str
) -> Package:
    """One installed distribution as a package: noarch when it is pure, bound to `python` otherwise."""
    metadata = HeaderParser().parsestr((info / "METADATA").read_text("utf-8"))
    name = metadata["Name"].lower()
    wheel = (info / "WHEEL").read_text()
    pure = "Root-Is-Purelib: true" in wheel
    site = "site-packages" if pure else f"lib/python{python}/site-packages"
    files: Dict[str, Tuple[str, Any, int]] = {}
    with open(info / "RECORD", newline="", encoding="utf-8") as record:
        paths = [row[0] for row in csv.reader(record) if row]
    for path in paths:
        top = path.split("/", 1)[0]
        path = re.sub(r"^(\.\./)+", "", path)
        if top == ".." and (path.startswith("bin/") or not (root / path).exists()):
            continue
        if path.startswith("bin/") or "__pycache__" in path or path.endswith(".pyc"):
            continue
        if "/tests/" in path:  # Half of the files of numpy, pandas and matplotlib, and nobody imports them.
            continue
        if Path(path).name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", ".lock"):
            continue
        data = path.startswith(("share/", "etc/", "include/"))
        source = root / path
        files[path if data else f"{site}/{path}"] = ("file", source, source.stat().st_mode & 0o777)
    # pip lists and uninstalls by RECORD, so it stays, without the files that are left out.
    kept = "".join(f"{p[len(site) + 1:]},,\n" for p in files if p.startswith(site + "/"))
    files[f"{site}/{info.name}/RECORD"] = ("file", (kept + f"{info.name}/RECORD,,\n").encode(), 0o644)
    files[f"{site}/{info.name}/INSTALLER"] = ("file", b"conda\n", 0o644)
    scripts = console_scripts(info)
    placeholders = []
    if not pure:
        for script, target in scripts:
            files[f"bin/{script}"] = ("file", entry_point_script(target), 0o755)
            placeholders.append(f"bin/{script}")
    requires = conda_version_spec(metadata.get("Requires-Python") or ">=3.8")
    own = f"python {requires}" if pure else f"python {python}.*"
    return Package(
        name=name,
        version=metadata["Version"],
        build="py_0",
        subdir="noarch" if pure else "linux-64",
        depends=sorted([own, *requirements(metadata, names, python)]),
        files=files,
        noarch="python" if pure else None,
        entry_points=tuple(f"{s} = {t}" for s, t in scripts) if pure else (),
        placeholders=tuple(placeholders),
    )


def console_scripts(info: Path) -> List[Tuple[str, str]]:
    """The console entry points of a distribution."""
    file, section, found = info / "entry_points.txt", "", []
    for line in file.read_text().splitlines() if file.exists() else []:
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[console_scripts]" and "=" in line:
            script, target = (part.strip() for part in line.split("=", 1))
            found.append((script, target.split("[")[0].strip()))
    return found


def wheel_packages(root: Path, python: str) -> List[Package]:
    """Every distribution installed in `root`."""
    infos = sorted(root.glob("*.dist-info"))
    names = {}
    for info in infos:
        name = HeaderParser().parsestr((info / "METADATA").read_text("utf-8"))["Name"].lower()
        names[re.sub(r"[-_.]+", "-", name)] = name
    return [wheel_package(root, info, names, python) for info in infos]


def python_package(found: "interpreters.Interpreter") -> Package:
    """The `python` package that hands out an interpreter of this machine."""
    short = f"{found.major}.{found.minor}"
    cfg = f"home = {os.path.dirname(found.path)}\ninclude-system-site-packages = false\nversion = {found.version}\n"
    return Package(
        name="python",
        version=found.version,
        build="0",
        subdir="linux-64",
        depends=[],
        files={
            "pyvenv.cfg": ("file", cfg.encode(), 0o644),
            f"bin/python{short}": ("link", found.path, 0),
            "bin/python3": ("link", f"python{short}", 0),
            "bin/python": ("link", f"python{short}", 0),
            f"lib/python{short}/site-packages/README.txt": ("file", b"Packages go here.\n", 0o644),
        },
        index={"python_site_packages_path": f"lib/python{short}/site-packages"},
    )


def pack(package: Package, output: str) -> Tuple[str, str, Dict[str, Any]]:
    """Writes one archive; returns its subdir, file name and repodata record."""
    index: Dict[str, Any] = {
        "build": package.build,
        "build_number": 0,
        "depends": package.depends,
        "name": package.name,
        "subdir": package.subdir,
        "version": package.version,
        **({"noarch": package.noarch} if package.noarch else {}),
        **(package.index or {}),
    }
    paths, content, total = [], [], 0
    for path, (kind, value, mode) in sorted(package.files.items()):
        member = tarfile.TarInfo(path)
        entry: Dict[str, Any] = {"_path": path}
        if kind == "link":
            member.type, member.linkname, data = tarfile.SYMTYPE, value, b""
            entry.update(path_type="softlink", sha256=hashlib.sha256(b"").hexdigest(), size_in_bytes=0)
        else:
            data = value if isinstance(value, bytes) else value.read_bytes()
            member.size, member.mode = len(data), mode
            digest = hashlib.sha256(data).hexdigest()
            entry.update(path_type="hardlink", sha256=digest, size_in_bytes=len(data))
        if path in package.placeholders:
            entry.update(prefix_placeholder=PLACEHOLDER, file_mode="text")
        paths.append(entry)
        content.append((member, data))
        total += len(data)
    for path, data in byte_code(package):
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(data), 0o644
        paths.append(
            {
                "_path": path,
                "path_type": "hardlink",
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_in_bytes": len(data),
            }
        )
        content.append((member, data))
        total += len(data)
    about = {"summary": f"{package.name}, packed for tests"}
    described = {
        "info/index.json": json.dumps(index, sort_keys=True, indent=2),
        "info/paths.json": json.dumps({"paths_version": 1, "paths": paths}, indent=1),
        "info/files": "".join(p["_path"] + "\n" for p in paths),
        "info/about.json": json.dumps(about),
    }
    if package.noarch == "python":
        noarch = {"type": "python", "entry_points": list(package.entry_points)}
        described["info/link.json"] = json.dumps({"noarch": noarch, "package_metadata_version": 1})
    info = []
    for path, text in described.items():
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(text.encode()), 0o644
        info.append((member, text.encode()))

    stem = f"{package.name}-{package.version}-{package.build}"
    if total >= BIG:
        fn, blob = f"{stem}.conda", conda_archive(stem, info, content)
    else:
        fn, blob = f"{stem}.tar.bz2", bz2.compress(tar(info + content), 9)
    with open(os.path.join(output, package.subdir, fn), "wb") as file:
        file.write(blob)
    if package.wrong_checksum:
        blob = blob[:-1] + bytes([blob[-1] ^ 1])
    record = {
        **index,
        "md5": hashlib.md5(blob).hexdigest(),
        "sha256": hashlib.sha256(blob).hexdigest(),
        "size": len(blob),
    }
    return package.subdir, fn, record


def byte_code(package: Package) -> Iterator[Tuple[str, bytes]]:
    """What the modules of a package compile to, as platform packages bring it.

    Packages that are noarch come without, but for pip: it is in every environment, and compiling it anew was
    the greatest part of what many tests cost.
    """
    if package.subdir == "noarch" and package.name != "pip":
        return
    for path, (kind, value, _) in sorted(package.files.items()):
        if kind != "file" or not path.endswith(".py") or "site-packages/" not in path:
            continue
        source = value if isinstance(value, bytes) else value.read_bytes()
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except SyntaxError:  # A template, such as the ones of debugpy.
            continue
        folder, name = os.path.split(path)
        # Of a source with the time that `tar` gives all files, which is what makes Python take it.
        header = importlib.util.MAGIC_NUMBER + struct.pack("<LLL", 0, TIME, len(source) & 0xFFFFFFFF)
        yield f"{folder}/__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc", header + marshal.dumps(code)


def tar(members: List[Tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """An uncompressed tar of the members, without owners and all of one time, so that builds are repeatable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in members:
            member.mtime = TIME
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def conda_archive(stem: str, info: Any, content: Any) -> bytes:
    """The .conda form: a stored zip of two zstd tars."""
    import zstandard

    compress = zstandard.ZstdCompressor(level=3).compress
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        epoch = (1980, 1, 1, 0, 0, 0)
        for name, data in (
            ("metadata.json", json.dumps({"conda_pkg_format_version": 2}).encode()),
            (f"pkg-{stem}.tar.zst", compress(tar(content))),
            (f"info-{stem}.tar.zst", compress(tar(info))),
        ):
            archive.writestr(zipfile.ZipInfo(name, epoch), data)
    return buffer.getvalue()


def build(wheels: Path, old_pip: Path, output: Path) -> int:
    """Builds the channel and returns the number of packages in it."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = wheel_packages(wheels, python) + wheel_packages(old_pip, python)
    packages += [python_package(found) for found in interpreters.find()]
    packages += [Package(**toy) for toy in channel_toys.toys()]
    fresh = output.with_name(f"{output.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    index: Dict[str, Dict[str, Dict[str, Any]]] = {}
    for subdir in ("noarch", "linux-64"):
        (fresh / subdir).mkdir(parents=True)
        index[subdir] = {"packages": {}, "packages.conda": {}}
    # The big ones first, so that no worker is left alone with one at the end.
    packages.sort(key=lambda package: -len(package.files))
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for subdir, fn, record in pool.map(pack, packages, [str(fresh)] * len(packages)):
            index[subdir]["packages.conda" if fn.endswith(".conda") else "packages"][fn] = record
    for subdir, records in index.items():
        repodata = {"info": {"subdir": subdir}, **records, "repodata_version": 1}
        (fresh / subdir / "repodata.json").write_text(json.dumps(repodata, indent=1, sort_keys=True))
    stale = output.with_name(f"{output.name}.old.{os.getpid()}")
    if output.exists():
        output.rename(stale)
    fresh.rename(output)
    shutil.rmtree(stale, ignore_errors=True)
    return len(packages)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: channel.py WHEELS OLD_PIP OUTPUT")
    print(build(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])), "packages")
