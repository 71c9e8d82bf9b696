"""`create`: solve, fetch, link, compile, pip - the same engine for all three, each with its own voice."""

import errno
import os
import shutil
import signal
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional

from .cache import FetchError, PackageCache, lock_noise, pkgs_dirs
from .faults import Invocation, words
from .link import Linker, compile_sources
from .options import Parsed
from .processes import exit_code
from .solver import (
    ChannelError,
    Record,
    Request,
    Unsolvable,
    channel_url,
    check_channels,
    explicit_record,
    solve,
    spec_name,
)


class Plan(NamedTuple):
    """What the command line and its files ask for."""

    prefix: str
    specs: List[str]
    channels: List[str]
    """As named, duplicates included: the real ones read a channel as often as it is named."""
    explicit: List[str]
    pip: List[str]
    variables: Dict[str, str]
    folder: str
    """Where the YAML lies: the pip step runs there and leaves its temporary file there."""


class Outcome:
    """What has been done so far; the JSON result is made from it."""

    def __init__(self) -> None:
        self.fetch: List[Record] = []
        self.link: List[Record] = []
        self.pip: List[str] = []
        self.planned = False
        self.interrupted: Optional[int] = None


def configured(parsed: Parsed, kind: str, root: str) -> Dict[str, List[str]]:
    """What configuration files and variables add, unless the command line forbids it."""
    found: Dict[str, List[str]] = {"channels": [], "create_default_packages": []}
    files = [f"{root}/.condarc", os.path.expanduser("~/.condarc"), os.environ.get("CONDARC", "")]
    for path in [] if parsed.has("no_rc") else files:
        if path and os.path.isfile(path):
            import yaml

            with open(path, encoding="utf-8") as file:
                document = yaml.safe_load(file) or {}
            for key, values in found.items():
                values += document.get(key) or []
    # --no-rc does not keep this one out.
    found["channels"] += [name for name in os.environ.get("CONDA_CHANNELS", "").split(",") if name]
    if parsed.has("override_channels"):
        found["channels"] = []
    if kind != "conda" or parsed.has("no_default_packages"):
        found["create_default_packages"] = []
    return found


def read_plan(parsed: Parsed, prefix: str, kind: str, root: str) -> Plan:
    """Collects specs and channels from arguments and files."""
    specs, explicit, pip, variables = list(parsed.positional), [], [], {}
    channels = [channel_url(channel) for channel in parsed.all("channel")]
    folder = os.getcwd()
    for name in parsed.all("file"):
        path = os.path.abspath(name)
        folder = os.path.dirname(path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if not name.endswith((".yml", ".yaml")):
            lines = [line.strip() for line in text.splitlines()]
            lines = [line for line in lines if line and not line.startswith("#")]
            if "@EXPLICIT" in lines:
                explicit += [line for line in lines if line != "@EXPLICIT"]
            else:
                specs += lines
            continue
        import yaml

        document = yaml.safe_load(text) or {}
        # With --override-channels conda takes only the command line's, mamba adds those of the file.
        if not (kind == "conda" and parsed.has("override_channels")):
            channels += [channel_url(channel) for channel in document.get("channels") or []]
        for dependency in document.get("dependencies") or []:
            if isinstance(dependency, dict):
                pip += dependency.get("pip") or []
            else:
                specs.append(dependency)
        variables.update(document.get("variables") or {})
    if not explicit:
        more = configured(parsed, kind, root)
        channels += [channel_url(channel) for channel in more["channels"]]
        specs += more["create_default_packages"]
    if pip and kind != "conda" and "pip" not in [spec_name(spec) for spec in specs]:
        specs.append("pip")
    # `nodefaults` means no channel at all to mamba; conda takes it for a channel and fails.
    channels = [channel for channel in channels if kind == "conda" or not channel.endswith("/nodefaults")]
    return Plan(prefix, specs, channels, explicit, pip, variables, folder)


def run(invocation: Invocation, parsed: Parsed, prefix: str, root: str) -> int:
    """Creates an environment; returns the exit code."""
    from .texts_conda import Conda
    from .texts_mamba import Mamba
    from .texts_micromamba import Micromamba

    kind = invocation.kind
    voices: Any = {"mamba": Mamba, "micromamba": Micromamba, "conda": Conda}
    voice = voices[kind](parsed, prefix)
    if kind == "conda" and (invocation.name == "mamba" or int(invocation.version.split(".")[0]) < 26):
        from .texts_older import OlderConda, OlderMamba

        voice = (OlderMamba if invocation.name == "mamba" else OlderConda)(parsed, prefix)
    elif kind == "mamba":
        voice.name = invocation.name
    if invocation.fault("internal_error"):
        return voice.internal_error()
    if not prefix:
        return voice.no_prefix()
    try:
        plan = read_plan(parsed, prefix, kind, root)
    except OSError as error:
        return voice.no_file(error)
    if plan.explicit and not knows_sha256(invocation):
        wrong = next((line for line in plan.explicit if "#sha256:" in line), None)
        if wrong is not None and kind == "conda":
            return voice.fail("ParseError", f"Could not parse explicit URL: {wrong}", {})
        # 2.0 takes all behind the # for an MD5, which no archive has.
        plan = plan._replace(explicit=[line.replace("#sha256:", "#sha256-") for line in plan.explicit])
    outcome = Outcome()
    Interruption(kind, outcome).install()
    return Creation(invocation, parsed, plan, voice, outcome, root).run()


def knows_sha256(invocation: Invocation) -> bool:
    """Whether SHA-256 may stand in an @EXPLICIT file."""
    numbers = [int(part) for part in invocation.version.split(".")[:2]]
    if invocation.kind == "conda":
        return invocation.name == "conda" and numbers >= [24, 9]
    return numbers != [2, 0]


class Interruption:
    """What SIGINT (and for conda SIGTERM) do: a wish, looked at between two packages."""

    def __init__(self, kind: str, outcome: Outcome) -> None:
        self._kind = kind
        self._outcome = outcome

    def install(self) -> None:
        """Takes over the signals the real program handles; SIGTERM kills mamba at once."""
        signal.signal(signal.SIGINT, self._remember)
        if self._kind == "conda":
            signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, number: int, _frame: Any) -> None:
        self._outcome.interrupted = number


class Creation:
    """One create from start to end."""

    def __init__(
        self, invocation: Invocation, parsed: Parsed, plan: Plan, voice: Any, outcome: Outcome, root: str
    ) -> None:
        self._invocation = invocation
        self._parsed = parsed
        self._plan = plan
        self._voice = voice
        self._outcome = outcome
        self._cache = PackageCache(invocation.kind, pkgs_dirs(invocation.kind, root)[0], invocation)

    def run(self) -> int:
        """All steps in turn."""
        plan, voice, outcome = self._plan, self._voice, self._outcome
        is_conda = self._invocation.kind == "conda"
        exists = os.path.isdir(plan.prefix)
        is_environment = os.path.isdir(f"{plan.prefix}/conda-meta")
        if exists and not is_environment and not is_conda:
            # 2.x accepts an empty folder, 1.5 none at all.
            if os.listdir(plan.prefix) or self._invocation.kind == "micromamba":
                return voice.foreign_directory()
            voice.empty_directory()
        voice.prepare(plan)
        self._cache.prepare()
        try:
            if self._invocation.fault("network"):
                raise ChannelError(plan.channels[0], f"{plan.channels[0]}/noarch/repodata.json")
            specs, records = self._solve()
        except ChannelError as error:
            return voice.bad_channel(error, bool(self._invocation.fault("network")))
        except Unsolvable as error:
            return voice.unsolvable(error, plan)
        outcome.fetch = [record for record in records if not self._cache.has(record)]
        outcome.link, outcome.planned = records, True
        if outcome.interrupted and is_conda:
            return voice.interrupted(outcome)
        voice.plan(plan, specs, records, outcome.fetch)
        if self._parsed.has("dry_run"):
            return voice.dry_run(plan, outcome)
        if self._invocation.fault("lock_noise"):
            lock_noise(self._cache.path)
        self._cache.lock()
        if is_environment and not self._parsed.has("download_only"):
            shutil.rmtree(plan.prefix, ignore_errors=True)
        os.makedirs(f"{plan.prefix}/conda-meta", exist_ok=True)
        if not is_conda:
            open(f"{plan.prefix}/conda-meta/history", "w").close()
            register(plan.prefix)
        if self._invocation.fault("two_documents"):
            return voice.two_documents(plan, outcome)
        if self._invocation.fault("lie"):
            return voice.lie(plan, outcome)
        return self._install(specs, records)

    def _solve(self) -> Any:
        plan, kind = self._plan, self._invocation.kind
        if plan.explicit:
            index: Dict[str, Any] = {}
            records = [explicit_record(line, index) for line in plan.explicit]
            return [self._voice.explicit_spec(record) for record in records], records
        check_channels(plan.channels)
        specs = list(plan.specs)
        names = [spec_name(spec) for spec in specs]
        if kind == "mamba" and "python" in names and "pip" not in names:
            specs.append("pip")
        request = Request(
            specs=specs,
            channels=list(dict.fromkeys(plan.channels)),
            cache=self._cache.path,
            priority=self._priority(),
            pip_for_python=kind != "mamba",
            pip_first=kind == "micromamba",
        )
        records = solve(request)
        self._voice.solved()
        return specs, records

    def _priority(self) -> str:
        if self._parsed.has("no_channel_priority"):
            return "disabled"
        return self._parsed.one("channel_priority") or "strict"

    def _install(self, specs: List[str], records: List[Record]) -> int:
        plan, voice, outcome = self._plan, self._voice, self._outcome
        if self._invocation.kind == "conda":
            voice.fetching()
        voice.starting()
        try:
            self._cache.fetch(records, lambda: outcome.interrupted is not None)
        except FetchError as error:
            if self._invocation.kind == "conda":
                shutil.rmtree(plan.prefix, ignore_errors=True)
            return voice.fetch_failed(error, plan, outcome)
        if self._parsed.has("download_only"):
            return voice.download_only(plan, outcome)
        copy = self._parsed.has("always_copy") or self._parsed.has("copy")
        linker = Linker(plan.prefix, self._cache, records, copy)
        lock = f"{plan.prefix}/conda-meta/conda-meta.lock"
        if self._invocation.kind == "mamba":
            open(lock, "w").close()
        voice.before_links()
        for count in range(self._invocation.fault("chatty") or 0):
            voice.chat(count)
        self._invocation.start_orphan(plan.prefix)
        try:
            self._link_all(linker, records, voice)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            if voice.rolls_back:
                linker.roll_back()
            return voice.disk_full(error, plan, outcome)
        if linker.compile and not self._parsed.has("no_pyc") and outcome.interrupted is None:
            self._wait(compile_sources(plan.prefix, linker.compile))
        if os.path.exists(lock):
            os.unlink(lock)
        if outcome.interrupted is not None:
            linker.roll_back()
            return voice.rolled_back(plan, outcome)
        self._write_history(specs, records)
        voice.finished(plan)
        return self._pip_step()

    def _link_all(self, linker: Linker, records: List[Record], voice: Any) -> None:
        at_once = voice.records_at_once
        metas = []
        for count, record in enumerate(records):
            if self._outcome.interrupted is not None:
                return
            voice.linking(record)
            if self._invocation.disk_full(count):
                full = f"{self._cache.extracted(record)}/info/index.json"
                raise OSError(errno.ENOSPC, f"{record['name']}|{full}|{self._plan.prefix}/info/index.json")
            metas.append(linker.link(record, write_record=not at_once))
            self._invocation.after_link(count + 1)
        for meta in metas if at_once else []:
            linker.write_record(meta)

    def _wait(self, child: int) -> int:
        while True:
            try:
                return exit_code(os.waitpid(child, 0)[1])
            except InterruptedError:
                continue

    def _write_history(self, specs: List[str], records: List[Record]) -> None:
        plan, kind = self._plan, self._invocation.kind
        if plan.variables:
            import json

            with open(f"{plan.prefix}/conda-meta/state", "w", encoding="utf-8") as file:
                upper = {name.upper(): str(value) for name, value in plan.variables.items()}
                json.dump({"env_vars": upper}, file)
        lines = [
            time.strftime("==> %Y-%m-%d %H:%M:%S <=="),
            f"# cmd: {self._invocation.executable} {words(sys.argv[1:])}",
            f"# conda version: {'26.7.1' if kind == 'conda' else '3.8.0'}",
        ]
        for record in records:
            stem = f"{record['name']}-{record['version']}-{record['build']}"
            # 1.5 forgets the subdir of packages that come from an @EXPLICIT file.
            flat = plan.explicit and kind == "micromamba"
            lines.append(f"+{record['channel']}{'' if flat else '/' + record['subdir']}::{stem}")
        lines.append(f"# update specs: {self._voice.spec_list(specs)}")
        with open(f"{plan.prefix}/conda-meta/history", "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        if kind == "conda":
            register(plan.prefix)

    def _pip_step(self) -> int:
        plan, voice, outcome = self._plan, self._voice, self._outcome
        if not plan.pip:
            return voice.done(plan, outcome)
        requirements = os.path.join(plan.folder, voice.pip_file())
        with open(requirements, "w", encoding="utf-8") as file:
            file.write("\n".join(plan.pip) + "\n")
        try:
            code = voice.pip(plan, requirements, outcome)
        finally:
            os.unlink(requirements)
        return voice.done(plan, outcome) if code == 0 else voice.pip_failed(plan, outcome)


def register(prefix: str) -> None:
    """Adds the prefix to the list of environments in the home folder."""
    folder = os.path.join(os.environ.get("HOME", "/nonexistent"), ".conda")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "environments.txt"), "a+", encoding="utf-8") as file:
            file.seek(0)
            if prefix not in file.read().split("\n"):
                file.write(prefix + "\n")
    except OSError:
        pass
