"""Linking: files from the package cache into a prefix, and the records that say so."""

import errno
import json
import os
import shutil
from typing import Any, Dict, List, Optional

from .cache import PackageCache, stem_of
from .solver import Record


class Linker:
    """Puts packages into one prefix, and can take them out again."""

    def __init__(self, prefix: str, cache: PackageCache, records: List[Record], copy: bool) -> None:
        self.prefix = prefix
        self.cache = cache
        self.copy = copy
        self.compile: List[str] = []
        self._made: List[str] = []
        self._folders: Dict[str, bool] = {}
        python = next((record for record in records if record["name"] == "python"), None)
        self.site_packages = _site_packages(python)

    def link(self, record: Record, write_record: bool) -> Dict[str, Any]:
        """Links one package; returns what its conda-meta record says."""
        source = self.cache.extracted(record)
        with open(f"{source}/info/paths.json", encoding="utf-8") as file:
            paths = json.load(file)["paths"]
        noarch = record.get("noarch") == "python"
        files = []
        for entry in paths:
            target = self._target(entry["_path"]) if noarch else entry["_path"]
            self._place(f"{source}/{entry['_path']}", target, entry)
            files.append(target)
            if noarch and target.endswith(".py") and target.startswith(self.site_packages):
                self.compile.append(f"{self.prefix}/{target}")
        if noarch:
            files += self._entry_points(source)
        meta = {
            **record,
            "extracted_package_dir": source,
            "files": files,
            "link": {"source": source, "type": 3 if self.copy else 1},
            "package_tarball_full_path": os.path.join(os.path.dirname(source), record["fn"]),
            "paths_data": {
                "paths": [{**entry, "_path": path} for entry, path in zip(paths, files)],
                "paths_version": 1,
            },
        }
        if write_record:
            self.write_record(meta)
        return meta

    def write_record(self, meta: Dict[str, Any]) -> None:
        """Records a package as installed."""
        path = f"{self.prefix}/conda-meta/{stem_of(meta)}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(meta, file, indent=4, sort_keys=True)
        self._made.append(path)

    def roll_back(self) -> None:
        """Removes what was linked, folders included."""
        for path in reversed(self._made):
            if os.path.lexists(path):
                os.unlink(path)
        for folder in sorted(self._folders, reverse=True):
            shutil.rmtree(folder, ignore_errors=True)

    def _target(self, path: str) -> str:
        if path.startswith("site-packages/"):
            return f"{self.site_packages}/{path[len('site-packages/'):]}"
        if path.startswith("python-scripts/"):
            return f"bin/{path[len('python-scripts/'):]}"
        return path

    def _place(self, source: str, path: str, entry: Dict[str, Any]) -> None:
        target = f"{self.prefix}/{path}"
        self._folder(os.path.dirname(target))
        if os.path.lexists(target):
            os.unlink(target)
        self._made.append(target)
        if entry["path_type"] == "softlink":
            os.symlink(os.readlink(source), target)
        elif entry.get("prefix_placeholder"):
            with open(source, "rb") as file:
                data = file.read()
            with open(target, "wb") as file:
                file.write(data.replace(entry["prefix_placeholder"].encode(), self.prefix.encode()))
            shutil.copymode(source, target)
        elif self.copy:
            shutil.copy(source, target)
        else:
            try:
                os.link(source, target)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                    raise
                shutil.copy(source, target)

    def _folder(self, path: str) -> None:
        if path in self._folders or path == self.prefix:
            return
        self._folder(os.path.dirname(path))
        if not os.path.isdir(path):
            os.mkdir(path)
            self._folders[path] = True

    def _entry_points(self, source: str) -> List[str]:
        link = f"{source}/info/link.json"
        if not os.path.exists(link):
            return []
        with open(link, encoding="utf-8") as file:
            entries = json.load(file)["noarch"].get("entry_points", [])
        made = []
        for entry in entries:
            name, _, target = (part.strip() for part in entry.partition("="))
            module, _, function = target.partition(":")
            path = f"{self.prefix}/bin/{name}"
            self._folder(f"{self.prefix}/bin")
            with open(path, "w", encoding="utf-8") as file:
                file.write(
                    f"#!{self.prefix}/bin/python\nimport re\nimport sys\n\n"
                    f"from {module} import {function.split('.')[0]}\n\n"
                    "if __name__ == '__main__':\n"
                    "    sys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])\n"
                    f"    sys.exit({function}())\n"
                )
            os.chmod(path, 0o775)
            self._made.append(path)
            made.append(f"bin/{name}")
        return made


def _site_packages(python: Optional[Record]) -> str:
    if python is None:
        return "site-packages"
    short = ".".join(python["version"].split(".")[:2])
    return python.get("python_site_packages_path") or f"lib/python{short}/site-packages"


def compile_sources(prefix: str, sources: List[str]) -> int:
    """Starts byte compilation in a child; as with the real ones it outlives a killed manager."""
    read, write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    python = f"{prefix}/bin/python"
    argv = [python, "-Wi", "-I", "-m", "compileall", "-q", "-l", "-i", "-"]
    actions = [(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2),
               (os.POSIX_SPAWN_CLOSE, write)]
    child = os.posix_spawn(python, argv, os.environ, file_actions=actions)
    os.close(read)
    os.close(null)
    with os.fdopen(write, "w") as pipe:
        pipe.write("\n".join(sources))
    return child
