"""The switches that make a double misbehave as the real programs were seen to.

They come from `double.json` beside the bin folder of the executable and from CONDA_DOUBLE_<NAME>
variables; the file exists because callers that scrub the environment of a manager scrub these too.
The table of switches is in ../README.md.
"""

import os
import sys
import time
from typing import Any, Dict, List, Optional

SWITCHES = {
    "plays": str,
    "commands": list,
    "times": int,
    "log": str,
    "start_delay": float,
    "hang": str,
    "link_delay": float,
    "network": bool,
    "kill_after_links": int,
    "lie": bool,
    "disk_full_after_links": int,
    "lock_noise": bool,
    "orphan": float,
    "two_documents": bool,
    "usage_error": bool,
    "internal_error": bool,
    "crash": int,
    "busy": float,
    "gone": bool,
    "damaged_entry": bool,
    "download_delay": float,
    "chatty": int,
}

VERSIONS = {"mamba": "2.8.1", "micromamba": "1.5.12", "conda": "26.7.1"}
"""The versions the recordings were made with."""


def load(executable: str) -> Dict[str, Any]:
    """The switches in force for this invocation; an unknown one is an error, not a silent no-op."""
    switches: Dict[str, Any] = {}
    path = os.path.join(os.path.dirname(os.path.dirname(executable)), "double.json")
    try:
        with open(path, encoding="utf-8") as file:
            import json

            switches.update(json.load(file))
    except FileNotFoundError:
        pass
    for name, value in os.environ.items():
        if name.startswith("CONDA_DOUBLE_"):
            switches[name[len("CONDA_DOUBLE_"):].lower()] = value
    for name in list(switches):
        if name not in SWITCHES:
            sys.exit(f"double: unknown switch '{name}'; known: {', '.join(SWITCHES)}")
        switches[name] = _typed(SWITCHES[name], switches[name])
    return switches


def _typed(kind: Any, value: Any) -> Any:
    if kind is bool and isinstance(value, str):
        return value.lower() not in ("", "0", "false", "no")
    if kind is list and isinstance(value, str):
        return value.split(",")
    return kind(value)


class Invocation:
    """One run of a double: who it plays, and what it must do wrong."""

    def __init__(self, kind: str, executable: str, switches: Dict[str, Any], command: str) -> None:
        self.name, _, self.version = switches.get("plays", f"{kind} {VERSIONS[kind]}").partition(" ")
        self.kind = voice_of(self.name, self.version)
        self.program = kind
        self.executable = executable
        self.folder = os.path.dirname(os.path.dirname(executable))
        self._switches = switches
        self._armed = command in switches.get("commands", ["create"]) and self._count(switches)

    def _count(self, switches: Dict[str, Any]) -> bool:
        """Uses up one of `times`, the number of invocations that misbehave before things get well."""
        if "times" not in switches:
            return True
        counter = os.open(os.path.join(self.folder, "double.count"), os.O_CREAT | os.O_RDWR | os.O_APPEND)
        os.write(counter, b".")
        used = os.fstat(counter).st_size
        os.close(counter)
        return used <= switches["times"]

    def fault(self, name: str) -> Any:
        """The value of a switch, None when it is off."""
        return self._switches.get(name) if self._armed else None

    def log(self, event: str, **more: Any) -> None:
        """Appends one line to the log; a single write, so lines of parallel invocations do not mix."""
        path = self._switches.get("log")
        if not path:
            return
        import json

        entry = {"event": event, "kind": self.program, "pid": os.getpid(), "time": time.time(), **more}
        log = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.write(log, (json.dumps(entry) + "\n").encode())
        os.close(log)

    def at_start(self) -> None:
        """What goes wrong before anything is done."""
        if self.fault("start_delay"):
            time.sleep(self.fault("start_delay"))
        if self.fault("crash"):
            # Memory of a crash is of no use to anybody.
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.kill(os.getpid(), self.fault("crash"))
        if self.fault("busy"):
            end = time.monotonic() + self.fault("busy")
            while time.monotonic() < end:
                pass
        if self.fault("hang") == "start":
            hang()

    def after_link(self, linked: int) -> None:
        """What goes wrong once `linked` packages are in place."""
        if self.fault("link_delay"):
            time.sleep(self.fault("link_delay"))
        if self.fault("kill_after_links") is not None and linked >= self.fault("kill_after_links"):
            os.kill(os.getpid(), 9)
        if self.fault("hang") == "link":
            hang()

    def disk_full(self, linked: int) -> bool:
        """Whether the disk is to be full now."""
        limit: Optional[int] = self.fault("disk_full_after_links")
        return limit is not None and linked >= limit

    def start_orphan(self, prefix: str) -> None:
        """A child that outlives this process and keeps writing into the prefix."""
        seconds = self.fault("orphan")
        if not seconds:
            return
        from .processes import spawn_detached

        script = (
            "i=0; while [ $i -lt %d ]; do mkdir -p \"$0\"; echo $i > \"$0/orphan.txt\"; i=$((i+1)); sleep 0.05; done"
        ) % int(seconds * 20)
        spawn_detached(["/bin/sh", "-c", script, prefix])


def voice_of(name: str, version: str) -> str:
    """Whose command line and words a version of a program has: that of mamba 2, of micromamba 1, or of conda."""
    if name == "conda" or (name == "mamba" and version.startswith("1.")):
        return "conda"
    return "micromamba" if version.startswith("1.") else "mamba"


def hang() -> None:
    """Says nothing and ends never."""
    while True:
        time.sleep(3600)


def words(argv: List[str]) -> str:
    """A command line as `# cmd:` of a history shows it."""
    return " ".join(argv)
