"""Replays recorded command lines with the doubles and compares what they print, return and leave behind.

    python check_transcripts.py [--show] [SCENARIO...]

The recordings are looked for in the folder named by TRANSCRIPTS, else in ../shared/transcripts beside the
checkout, else in tests/stack/transcripts. What depends on the archives (sizes, checksums, temporary names)
is masked on both sides. Exits with 1 when something differs that DIFFERENT does not explain.
"""

import difflib
import json
import os
import random
import re
import shlex
import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[2]
TOOLS = CHECKOUT / ".tools"
FOLDERS = {"mamba": "mamba-2.8.1", "micromamba": "micromamba-1.5.12", "conda": "conda-26.7"}

SCENARIOS = (
    "version unknown-flag unknown-command unknown-package unknown-package-json conflict conflict-json "
    "conflict-pair conflict-pair-json bad-channel bad-channel-json create-dry-run create-dry-run-json "
    "create-cold create-cold-json create-warm create-json create-quiet create-no-pyc create-offline "
    "create-download-only create-explicit create-explicit-json create-explicit-bad-md5 existing-directory "
    "existing-directory-empty existing-env yaml-plain yaml-pip yaml-pip-json yaml-pip-not-listed "
    "yaml-pip-fails yaml-pip-fails-json list list-json list-no-pip list-explicit-md5 env-export "
    "env-export-explicit env-export-json env-export-no-build env-export-from-history env-list-json "
    "config-list run run-env run-exit-3 run-killed run-segfault run-command-not-found run-missing-prefix "
    "corrupted-package"
).split()

DIFFERENT = {
    "mamba/create-no-pyc": "the order of independent packages in the transaction is the solver's own",
    "micromamba/create-no-pyc": "the order of independent packages in the transaction is the solver's own",
    "mamba/corrupted-package": "recorded with a broken numpy and a longer channel path; wording is compared elsewhere",
    "micromamba/corrupted-package": "recorded with a broken numpy and a longer channel path",
    "conda/create-quiet": "recorded with a half-filled cache",
    "micromamba/env-export-from-history": "recorded in an environment made with other specs",
}

NEEDS_ENVIRONMENT = re.compile(r"^(list|env-export|env-list|run|existing-env)")
WITH_SIX = re.compile(r"^(list|env-export)")
CONDA_YAML = """name: example
channels:
  - <CHANNEL>
dependencies:
  - python=3.11
  - pip
  - pip:
    - {}
"""


class Sandbox:
    """A folder whose channel path is as long as the recorded one, because tables depend on it."""

    def __init__(self, kind: str) -> None:
        name = "".join(random.choice(string.ascii_lowercase) for _ in range(5))
        self.kind = kind
        self._state = (False, False)
        self.root = Path("/tmp") / name
        self.root.mkdir()
        (self.root / "channel").symlink_to(TOOLS / "channel")
        for folder in ("home", "pkgs", "tmp", "root"):
            (self.root / folder).mkdir()
        self.executable = TOOLS / "managers" / kind / "bin" / kind
        self.prefix = self.root / "prefix"
        self.paths = {
            "<CHANNEL>": f"file://{self.root}/channel",
            "<CHANNEL_PATH>": f"{self.root}/channel",
            "<PREFIX>": str(self.prefix),
            "<PKGS>": f"{self.root}/pkgs",
            "<HOME>": f"{self.root}/home",
            "<TMP>": f"{self.root}/tmp",
            "<ROOT>": f"{self.root}/root",
            "<BIN>": str(self.executable.parent),
        }

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root)

    def fill(self, text: str) -> str:
        """Placeholders become paths."""
        for name, path in self.paths.items():
            text = text.replace(name, path)
        return text

    def mask(self, text: str) -> str:
        """Paths become placeholders, the longest first."""
        for name, path in sorted(self.paths.items(), key=lambda pair: -len(pair[1])):
            text = text.replace(path, name)
        return text

    def run(self, argv: List[str]) -> "subprocess.CompletedProcess[str]":
        """Runs the double as the recordings were made."""
        # What pip needs to reach its index here, and nothing that makes it talk differently.
        kept = {k: v for k, v in os.environ.items() if k in ("PIP_CERT", "PIP_INDEX_URL", "SSL_CERT_FILE")}
        environment = {
            **kept, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": self.paths["<HOME>"],
            "TMPDIR": self.paths["<TMP>"], "CONDA_PKGS_DIRS": self.paths["<PKGS>"],
            "MAMBA_ROOT_PREFIX": self.paths["<ROOT>"],
        }
        return subprocess.run(
            [str(self.executable), *argv], env=environment, cwd=self.paths["<TMP>"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
        )

    def arrange(self, cold: bool, environment: bool, six: bool) -> None:
        """Makes the state a scenario starts from, out of what the one before has left."""
        warm, pkgs = self.root / "warm", self.root / "pkgs"
        if not warm.exists():
            self._create("python=3.11", "numpy", "idna")
            self._remove()
            shutil.copytree(pkgs, warm, symlinks=True, copy_function=os.link)
        wanted = (environment, six and self.kind != "conda")
        if wanted != self._state or not environment:
            self._remove()
            shutil.rmtree(pkgs)
            if cold:
                pkgs.mkdir()
            else:
                shutil.copytree(warm, pkgs, symlinks=True, copy_function=os.link)
        if environment and wanted != self._state:
            self._create("python=3.11", "numpy")
            if wanted[1]:
                python = f"{self.prefix}/bin/python"
                subprocess.run([python, "-m", "pip", "install", "-q", "six==1.17.0"], check=True, stderr=subprocess.DEVNULL)
        self._state = wanted
        shutil.rmtree(self.root / "home")
        (self.root / "home").mkdir()

    def _remove(self) -> None:
        shutil.rmtree(self.prefix, ignore_errors=True)

    def _create(self, *specs: str) -> None:
        channel = self.paths["<CHANNEL>"]
        pyc = [] if self.kind == "conda" else ["--no-pyc"]
        done = self.run(["create", "-y", "-q", *pyc, "-p", str(self.prefix), "--override-channels", "-c", channel, *specs])
        if done.returncode != 0:
            raise RuntimeError(done.stderr)


def arguments(kind: str, command: str) -> List[str]:
    """The words of a recorded command line; conda's are recorded without quotes."""
    if kind == "conda" and " -c import " in command:
        head, _, code = command.partition(" -c import ")
        return shlex.split(head)[1:] + ["-c", "import " + code.strip()]
    if kind == "conda":
        return command.split()[1:]
    return shlex.split(command)[1:]


def normal(text: str, cold: bool) -> str:
    """Masks what follows from the archives and from chance."""
    text = re.sub(r"[0-9a-f]{64}", "<SHA256>", text)
    text = re.sub(r"[0-9a-f]{32}", "<MD5>", text)
    text = re.sub(r'"size": \d+', '"size": N', text)
    text = re.sub(r'"timestamp": \d+', '"timestamp": N', text)
    text = re.sub(r'"python >=3[^"]*"', '"python >=3"', text)
    text = re.sub(r"\b3\.11\.\d+\b", "3.11.N", text)
    text = re.sub(r"(-(?:py_)?0)\.conda\b", r"\1.tar.bz2", text)
    text = text.replace("/file/<CHANNEL_PATH>", "/file<CHANNEL_PATH>")
    text = re.sub(r"mambaf\w{10}", "mambafXXXXXXXXXX", text)
    text = re.sub(r"<TMP>/tmp\w{8}", "<TMP>/tmpXXXXXXXX", text)
    text = re.sub(r"line \d+: +\d+ Killed +", "line N: PID Killed ", text)
    text = re.sub(r'"base_url": "(<INDEX>)?"', '"base_url": ""', text)
    text = re.sub(r"  Downloading six.*\n", "", text)
    text = re.sub(r"  Using cached six.*\n", "", text)
    text = re.sub(r"Elapsed: [\d:.]+", "Elapsed: T", text)
    if cold:
        text = re.sub(r"\d+(\.\d)? ?(MB|kB|KB|B)\b", "SIZE", text)
        text = re.sub(r"─+", "─", text)
        text = re.sub(r"(?m)  +", "  ", text)
    return text


def leftovers(sandbox: Sandbox) -> str:
    """What the recordings note about the prefix afterwards, in their words."""
    history = sandbox.prefix / "conda-meta" / "history"
    size = history.stat().st_size if history.exists() else None
    lines = ["history: absent" if size is None else f"history: {'some' if size else '0'} bytes"]
    if not sandbox.prefix.exists():
        lines.append("prefix absent")
    return "\n".join(lines)


def recorded_leftovers(text: str) -> str:
    """The same lines of a recording."""
    wanted = [line for line in text.splitlines() if line.startswith(("history:", "prefix absent"))]
    return re.sub(r"history: [1-9]\d* bytes", "history: some bytes", "\n".join(wanted))


def explicit(sandbox: Sandbox, text: str) -> str:
    """An @EXPLICIT file with the checksums of this channel."""
    lines = []
    for line in text.splitlines():
        match = re.match(r"<CHANNEL>/([^/]+)/(.+)-([^-]+)-([^-]+)\.tar\.bz2#(\w+)$", line)
        if match is None:
            lines.append(line)
            continue
        subdir, name, version, build, checksum = match.groups()
        data = json.loads((TOOLS / "channel" / subdir / "repodata.json").read_text())
        for fn, record in {**data["packages"], **data["packages.conda"]}.items():
            same = record["name"] == name and (name == "python" or record["version"] == version)
            if same and record["version"].startswith(version.rpartition(".")[0]):
                md5 = record["md5"][:-4] + "0000" if checksum.endswith("0000") else record["md5"]
                found = f"<CHANNEL>/{subdir}/{fn}#{md5}"
        lines.append(found)
    return "\n".join(lines) + "\n"


def replay(sandbox: Sandbox, folder: Path, name: str) -> Optional[str]:
    """One scenario; the difference as text, empty when there is none, None when it was not recorded."""
    kind = sandbox.kind
    read = lambda part: (folder / f"{name}.{part}").read_text() if (folder / f"{name}.{part}").exists() else ""
    command = read("cmd")
    if not command:
        return None
    read_plain = read
    if kind == "conda" and name.startswith("conflict"):
        # The recorded channel had no Python 3.12; this one may have every version from 3.8 on.
        command = command.replace("python=3.12", "python=3.7")
        read = lambda part: read_plain(part).replace("python=3.12", "python=3.7")
    cold = kind != "conda" and "json" in name and '"FETCH": [\n            {' in read("stdout")
    cold = cold or "bad-md5" in name or bool(re.search(r"Total download: [1-9]|will be downloaded", read("stdout")))
    sandbox.arrange(cold, bool(NEEDS_ENVIRONMENT.match(name)), bool(WITH_SIX.match(name)))
    if name == "env-list-json":
        register = Path(sandbox.paths["<HOME>"]) / ".conda" / "environments.txt"
        register.parent.mkdir()
        register.write_text(f"{sandbox.prefix}\n")
    given = read("input")
    if given:
        file = "explicit.txt" if "@EXPLICIT" in given else "environment.yml"
        text = explicit(sandbox, given) if "@EXPLICIT" in given else given
        Path(sandbox.paths["<TMP>"], file).write_text(sandbox.fill(text))
    if kind == "conda" and "env.yml" in command:
        Path(sandbox.paths["<TMP>"], "env.yml").write_text(sandbox.fill(CONDA_YAML.format("six")))
    if kind == "conda" and "env2.yml" in command:
        text = sandbox.fill(CONDA_YAML.format("no-such-package-xyz-123"))
        Path(sandbox.paths["<TMP>"], "env2.yml").write_text(text)
    if "exp.txt" in command:
        lines = "@EXPLICIT\n<CHANNEL>/linux-64/python-3.11.7-0.tar.bz2#0\n<CHANNEL>/linux-64/numpy-2.4.6-py_0.tar.bz2#0\n"
        Path(sandbox.paths["<TMP>"], "exp.txt").write_text(sandbox.fill(explicit(sandbox, lines)))
    if name.startswith("existing-directory"):
        sandbox.prefix.mkdir()
        if "empty" not in name:
            (sandbox.prefix / "mine.txt").write_text("mine\n")
    done = sandbox.run([sandbox.fill(word) for word in arguments(kind, command)])
    differences = []
    if str(done.returncode) != read("rc").strip():
        differences.append(f"exit code {done.returncode}, recorded {read('rc').strip()}")
    for part, actual in (("stdout", done.stdout), ("stderr", done.stderr)):
        expected = normal(read(part), cold)
        found = normal(sandbox.mask(actual), cold)
        differences += difflib.unified_diff(
            expected.splitlines(), found.splitlines(), f"recorded {part}", f"double's {part}", lineterm="", n=1
        )
    if name.startswith(("create", "unknown-package", "conflict", "bad", "yaml", "existing")):
        expected, found = recorded_leftovers(read("after")), leftovers(sandbox)
        if expected and expected != found:
            differences.append(f"left behind: {found!r}, recorded {expected!r}")
    return "\n".join(differences)


def transcripts() -> Optional[Path]:
    """Where the recordings are."""
    named = os.environ.get("TRANSCRIPTS")
    for folder in ([Path(named)] if named else []) + [
        CHECKOUT.parent / "shared" / "transcripts", HERE.parent / "transcripts",
    ]:
        if (folder / "mamba-2.8.1").is_dir():
            return folder
    return None


def main() -> int:
    """Replays all scenarios, or the named ones."""
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")] or SCENARIOS
    root = transcripts()
    if root is None:
        print("no transcripts found: nothing compared")
        return 0
    counts: Dict[str, int] = {"same": 0, "explained": 0, "different": 0}
    for kind, folder in FOLDERS.items():
        with Sandbox(kind) as sandbox:
            for name in wanted:
                difference = replay(sandbox, root / folder, name)
                if difference is None:
                    continue
                explained = DIFFERENT.get(f"{kind}/{name}")
                verdict = "same" if not difference else "explained" if explained else "different"
                counts[verdict] += 1
                if verdict == "different" or (verdict == "explained" and "--show" in sys.argv):
                    print(f"--- {kind} {name}: {verdict}{': ' + explained if explained else ''}\n{difference}\n")
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
