"""The package cache: archives fetched, verified and unpacked, laid out as each program does."""

import errno
import fcntl
import hashlib
import os
import shutil
import struct
import sys
import time
import urllib.parse
import urllib.request
from typing import Any, Callable, Dict, List, Optional

from .solver import Record, local_path


class FetchError(Exception):
    """A package that could not be brought; `kind` is "checksum", "download" or "corrupted"."""

    def __init__(self, kind: str, record: Record, path: str, **details: Any) -> None:
        super().__init__(f"{kind}: {record['fn']}")
        self.kind = kind
        self.record = record
        self.path = path
        self.details = details


def pkgs_dirs(kind: str, root: str) -> List[str]:
    """The package caches, first writable first."""
    named = os.environ.get("CONDA_PKGS_DIRS", "")
    return [path for path in named.split(",") if path] or [os.path.join(root, "pkgs")]


def stem_of(record: Record) -> str:
    """The file name without its archive suffix."""
    fn = record["fn"]
    return fn[: -len(".tar.bz2")] if fn.endswith(".tar.bz2") else fn[: -len(".conda")]


class PackageCache:
    """One package cache in the layout of the program."""

    def __init__(self, kind: str, path: str, invocation: Any = None) -> None:
        self.kind = kind
        self._invocation = invocation
        self.path = os.path.abspath(path)
        self._lock: Optional[int] = None

    def prepare(self) -> None:
        """Makes the folder and the file that marks it as a cache."""
        os.makedirs(self.path, exist_ok=True)
        open(os.path.join(self.path, "urls.txt"), "a").close()

    def folder(self, record: Record) -> str:
        """Where the archive and the unpacked package of a record lie."""
        if self.kind != "mamba" or self._is_flat():
            return self.path
        parsed = urllib.parse.urlparse(record["channel"])
        return os.path.join(self.path, parsed.scheme, (parsed.netloc + parsed.path).strip("/"), record["subdir"])

    def _is_flat(self) -> bool:
        """Folders for channels came with mamba 2.6."""
        version = self._invocation.version if self._invocation is not None else ""
        return version.startswith("2.") and int(version.split(".")[1]) < 6

    def extracted(self, record: Record) -> str:
        """The folder of the unpacked package."""
        return os.path.join(self.folder(record), stem_of(record))

    def has(self, record: Record) -> bool:
        """Whether the package is unpacked and ready."""
        path = os.path.join(self.extracted(record), "info", "repodata_record.json")
        if not os.path.exists(path):
            return False
        import json

        with open(path, encoding="utf-8") as file:
            cached = json.load(file)
        # An @EXPLICIT line may ask for another archive of the same name.
        return all(not record.get(sum_) or record[sum_] == cached.get(sum_) for sum_ in ("md5", "sha256"))

    def lock(self) -> None:
        """The cache-wide lock mamba 2 holds from the solve to the end; the others have none."""
        if self.kind != "mamba":
            return
        path = os.path.join(self.path, os.path.basename(self.path) + ".lock")
        self._lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        byte = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 21, 1, 0)
        try:
            fcntl.fcntl(self._lock, fcntl.F_SETLK, byte)
        except OSError:
            lock_noise(self.path)
            fcntl.fcntl(self._lock, fcntl.F_SETLKW, byte)

    def fetch(self, records: List[Record], interrupted: Callable[[], bool]) -> None:
        """Brings and unpacks what is missing."""
        if self._fault("damaged_entry"):
            for record in records:
                if os.path.isdir(self.extracted(record)):
                    raise FetchError("corrupted", record, self.extracted(record))
        missing = [record for record in records if not self.has(record)]
        if not missing:
            return
        if self._fault("gone"):
            archive = os.path.join(self.folder(missing[0]), missing[0]["fn"])
            raise FetchError("download", missing[0], archive, status=404)
        guard = self._guard(missing[0])
        try:
            for record in missing:
                if interrupted():
                    return
                self._fetch_one(record)
        finally:
            if guard is not None:
                os.close(guard)

    def _fault(self, name: str) -> Any:
        return self._invocation.fault(name) if self._invocation is not None else None

    def _guard(self, record: Record) -> Optional[int]:
        """Two cold fetches into one cache break each other, except with mamba 2, which has a lock."""
        if self.kind == "mamba":
            return None
        guard = os.open(os.path.join(self.path, ".fetching"), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(guard)
            raise FetchError("corrupted", record, self.extracted(record)) from None
        return guard

    def _fetch_one(self, record: Record) -> None:
        folder = self.folder(record)
        os.makedirs(folder, exist_ok=True)
        archive = os.path.join(folder, record["fn"])
        if not os.path.exists(archive) or not self._valid(archive, record):
            self._download(record, archive)
            wrong = self._mismatch(archive, record)
            if wrong:
                os.unlink(archive)
                raise FetchError("checksum", record, archive, **wrong)
        from rattler.package_streaming import extract

        target = os.path.join(folder, stem_of(record))
        fresh = f"{target}.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        extract(archive, fresh)
        import json

        with open(os.path.join(fresh, "info", "repodata_record.json"), "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2, sort_keys=True)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(fresh, target)
        for urls in {os.path.join(self.path, "urls.txt"), os.path.join(folder, "urls.txt")}:
            with open(urls, "a", encoding="utf-8") as file:
                file.write(record["url"] + "\n")

    def _download(self, record: Record, archive: str) -> None:
        part = f"{archive}.part"
        try:
            if record["url"].startswith("file://"):
                pause = self._fault("download_delay") or 0
                with open(local_path(record["url"]), "rb") as source, open(part, "wb", buffering=0) as file:
                    step = max(1, os.fstat(source.fileno()).st_size // 4) if pause else -1
                    for chunk in iter(lambda: source.read(step), b""):
                        file.write(chunk)
                        time.sleep(pause)
            else:
                with urllib.request.urlopen(record["url"], timeout=30) as response, open(part, "wb") as file:
                    shutil.copyfileobj(response, file)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise FetchError("download", record, archive, status=getattr(error, "code", 0)) from error
        os.rename(part, archive)

    def _valid(self, archive: str, record: Record) -> bool:
        return not self._mismatch(archive, record)

    def _mismatch(self, archive: str, record: Record) -> Dict[str, str]:
        for name in ("sha256", "md5"):
            expected = record.get(name)
            if not expected:
                continue
            with open(archive, "rb") as file:
                actual = hashlib.new(name, file.read()).hexdigest()
            if actual != expected:
                return {"algorithm": name.upper(), "expected": expected, "actual": actual}
            return {}
        return {}


def lock_noise(path: str) -> None:
    """What mamba says while another one works."""
    sys.stderr.write(
        "error    libmamba Could not set lock (Resource temporarily unavailable)\n"
        f"warning  libmamba Cannot lock '{path}'\n"
        "    Waiting for other mamba process to finish\n"
    )
    sys.stderr.flush()
