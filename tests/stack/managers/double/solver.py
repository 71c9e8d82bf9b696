"""The solve: a real one, by rattler, over the repodata of the channels."""

import asyncio
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, List, NamedTuple, Optional

Record = Dict[str, Any]


class ChannelError(Exception):
    """A channel that cannot be read; `url` is the first file that was missed."""

    def __init__(self, channel: str, url: str) -> None:
        super().__init__(url)
        self.channel = channel
        self.url = url


class Unsolvable(Exception):
    """Specs without a solution: some name nothing (`missing`), or they exclude each other."""

    def __init__(self, missing: List[str], candidates: Dict[str, List[Record]], text: str) -> None:
        super().__init__(text)
        self.missing = missing
        self.candidates = candidates


class Request(NamedTuple):
    """What to solve."""

    specs: List[str]
    channels: List[str]
    cache: str
    priority: str = "strict"
    pip_for_python: bool = False
    pip_first: bool = False
    """Whether pip comes right after python, as with micromamba, or when everything else is done."""
    platform: str = "linux-64"


def channel_url(channel: str) -> str:
    """A channel as a URL, without a slash at its end."""
    if "://" not in channel:
        if not channel.startswith(("/", "./", "~")):
            return f"https://conda.anaconda.org/{channel}"
        channel = "file://" + os.path.abspath(os.path.expanduser(channel))
    return channel.rstrip("/")


def local_path(url: str) -> str:
    """The path of a file:// URL."""
    return urllib.parse.unquote(urllib.parse.urlparse(url).path)


def check_channels(channels: List[str]) -> None:
    """Fails for a channel without `noarch/repodata.json`, as every manager does."""
    for channel in channels:
        url = f"{channel}/noarch/repodata.json"
        if url.startswith("file://"):
            if not os.path.exists(local_path(url)):
                raise ChannelError(channel, url)
            continue
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except urllib.error.HTTPError as error:
            raise ChannelError(channel, url) from error
        except OSError as error:
            raise ChannelError(channel, url) from error


def solve(request: Request) -> List[Record]:
    """The records to install, dependencies first."""
    import rattler

    gateway = rattler.Gateway(cache_dir=os.path.join(request.cache, "cache"))
    platforms: Any = [request.platform, "noarch"]
    priority = rattler.ChannelPriority
    try:
        found = asyncio.run(
            rattler.solve(
                sources=request.channels,
                specs=[_dialect(spec) for spec in request.specs],
                gateway=gateway,
                platforms=platforms,
                virtual_packages=rattler.VirtualPackage.detect(),
                channel_priority=priority.Strict if request.priority == "strict" else priority.Disabled,
                add_pip_as_python_dependency=request.pip_for_python,
            )
        )
    except Exception as error:
        raise _explain(request, gateway, platforms, error) from error
    return in_order(request, [as_record(record) for record in found])


def _dialect(spec: str) -> str:
    """A spec as py-rattler wants it: unlike the managers it does not know `name=version=build`."""
    return re.sub(r"^([^\s=<>!~\[]+)==?([^\s=<>!~,|*]+)=([^\s=]+)$", r"\1 ==\2 \3", spec)


def _explain(request: Request, gateway: Any, platforms: Any, error: Exception) -> Exception:
    """Which spec is to blame: one that nothing matches, or several together."""
    candidates: Dict[str, List[Record]] = {}
    for spec in request.specs:
        try:
            rows = asyncio.run(gateway.query(request.channels, platforms, [_dialect(spec)], recursive=False))
        except Exception:
            return error
        candidates[spec] = [as_record(record) for row in rows for record in row]
    missing = [spec for spec, records in candidates.items() if not records]
    return Unsolvable(missing, candidates, str(error))


def as_record(record: Any) -> Record:
    """A rattler record with the fields of repodata plus channel, url and fn."""
    fields = json.loads(record.to_json())
    fields["url"] = record.url
    fields["fn"] = record.file_name
    fields["channel"] = str(record.channel).rstrip("/")
    fields.setdefault("depends", [])
    fields.setdefault("build_number", 0)
    return fields


def in_order(request: Request, records: List[Record]) -> List[Record]:
    """Dependencies first; python before all; otherwise in the order the specs name them."""
    by_name = {record["name"]: record for record in records}
    ordered: List[Record] = []
    done: set = set()

    def visit(name: str) -> None:
        if name in done or name not in by_name:
            return
        done.add(name)
        for depends in by_name[name]["depends"]:
            # The dependency of python on pip is artificial: it comes after, not before.
            if not (name == "python" and depends.split()[0] == "pip"):
                visit(depends.split()[0])
        ordered.append(by_name[name])
        if name == "python" and request.pip_first:
            visit("pip")

    visit("python")
    for spec in request.specs:
        visit(spec_name(spec))
    for name in sorted(by_name, key=lambda name: (name == "pip", name)):
        visit(name)
    return ordered


def spec_name(spec: str) -> str:
    """The package a spec is about."""
    import re

    return re.split(r"[\s=<>!~\[]", spec.rpartition("::")[2].strip(), maxsplit=1)[0].lower()


def explicit_record(line: str, index: Dict[str, Dict[str, Record]]) -> Record:
    """The record of one line of an @EXPLICIT file; from repodata when it is at hand, else from the name."""
    url, _, checksum = line.partition("#")
    base, _, fn = url.rpartition("/")
    channel, _, subdir = base.rpartition("/")
    stem = fn[: -len(".tar.bz2")] if fn.endswith(".tar.bz2") else fn[: -len(".conda")]
    name, version, build = stem.rsplit("-", 2)
    known = _repodata(channel, subdir, index).get(fn, {})
    record = {
        "name": name, "version": version, "build": build, "build_number": 0, "depends": [],
        **known, "explicit": True, "subdir": subdir, "channel": channel, "url": url, "fn": fn,
    }
    if checksum:
        # Without the word in front it is an MD5, however long.
        key = "sha256" if checksum.startswith("sha256:") else "md5"
        record[key] = checksum.replace("sha256:", "")
        if known and known.get(key) != record[key]:
            record.pop("sha256" if key == "md5" else "md5", None)
    return record


def _repodata(channel: str, subdir: str, index: Dict[str, Dict[str, Record]]) -> Dict[str, Record]:
    key = f"{channel}/{subdir}"
    if key not in index:
        path: Optional[str] = local_path(f"{key}/repodata.json") if key.startswith("file://") else None
        index[key] = {}
        if path and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                data = json.load(file)
            index[key] = {**data.get("packages", {}), **data.get("packages.conda", {})}
    return index[key]
