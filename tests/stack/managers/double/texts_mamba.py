"""What mamba 2.8.1 prints while it creates an environment."""

import json
import os
import sys
import urllib.parse
from typing import Any, Dict, List

from .cache import FetchError
from .options import Parsed
from .processes import exit_code
from .run import temporary_name
from .solver import ChannelError, Record, Unsolvable, local_path, spec_name

WIDTH = 106
"""The width of the lines that report on repodata."""


class Mamba:
    """The voice of mamba 2.8.1."""

    name = "mamba"
    records_at_once = False
    rolls_back = True

    def __init__(self, parsed: Parsed, prefix: str) -> None:
        self.parsed = parsed
        self.prefix = prefix
        self.json = parsed.has("json")
        self.silent = self.json or parsed.has("quiet")
        self._channels: List[str] = []

    # -- before the solve

    def say(self, text: str = "") -> None:
        """One line on stdout, at once: progress is read live."""
        if not self.silent:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def complain(self, text: str) -> None:
        """Text on stderr."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def no_prefix(self) -> int:
        """Neither -p nor -n."""
        self.complain("critical libmamba No target prefix specified")
        return 1

    def no_file(self, error: OSError) -> int:
        """A file that cannot be read."""
        self.complain(f"critical libmamba File specs does not exist: {error.filename}")
        return 1

    def foreign_directory(self) -> int:
        """A prefix that holds something else."""
        text = "libmamba Non-conda folder exists at prefix - aborting."
        self.complain(f"error    {text}\ncritical {text}")
        return 1

    def empty_directory(self) -> None:
        """A prefix that exists and is empty."""
        self.complain("warning  libmamba Using existing empty folder as target prefix")

    def prepare(self, plan: Any) -> None:
        """Before anything is read."""
        self._channels = [] if plan.explicit else plan.channels
        if plan.pip and not self.json:
            self.complain(
                "warning  libmamba You are using 'pip' as an additional package manager.\n"
                "    Be aware that packages installed with 'pip' are managed independently from"
                " 'conda-forge' channel."
            )

    def solved(self) -> None:
        """The report on repodata and solver."""
        for channel in self._channels:
            for subdir in ("linux-64", "noarch"):
                flat = f"Using Flat Repodata for {channel}/{subdir}"
                self.say(f"⚠ Shard Index for {channel}/{subdir} not available, falling back to flat repodata")
                for state in ("✔ Starting", "✔ Done (0.0 sec)"):
                    self.say(f"{flat}{' ' * max(1, WIDTH - len(flat) - len(state))}{state}")
        self.say("Parsing Packages' Records".ljust(WIDTH - 16) + "✔ Done (0.0 sec)")
        self.say()
        self.say("Resolving Environment".ljust(WIDTH - 10) + "⧖ Starting")
        self.say("Resolving Environment".ljust(WIDTH - 16) + "✔ Done (0.0 sec)")

    # -- failures before the transaction

    footer = (
        "    If you run into this error repeatedly, your package cache may be corrupted.\n"
        "    Please try running `mamba clean -a` to remove this cache before retrying the operation.\n"
        "    \n"
        "    If you still are having issues, please report the error on `mamba-org/mamba`'s issue tracker:\n"
        "    https://github.com/mamba-org/mamba/issues/new?assignees=&labels=&projects=&template=bug.yml"
    )
    occurred = "occurred"

    def bad_channel(self, error: ChannelError, network: bool) -> int:
        """A channel that is not there, or a network that is not."""
        url = error.url
        if url.startswith("file://") and not network:
            reason = f"(37) Couldn't read a file:// file [{url}]\n    Couldn't open file {local_path(url)}"
        else:
            address = urllib.parse.urlparse(url)
            port = address.port or (443 if address.scheme == "https" else 80)
            reason = (
                f"(7) Couldn't connect to server [{url}]\n    Failed to connect to "
                f"{address.hostname or 'localhost'} port {port} after 0 ms: Couldn't connect to server"
            )
        self.complain(
            f"critical libmamba Multiple errors {self.occurred}:\n    Download error {reason}\n"
            f"    Subdir {os.path.dirname(url)} not loaded!\n{self.footer}"
        )
        return 1

    def unsolvable(self, error: Unsolvable, plan: Any) -> int:
        """Specs without a solution."""
        # 2.x reads everything twice before it gives up.
        self.solved()
        self.solved()
        if self.json:
            self.result({"solver_problems": self.problems(error), "success": False})
        else:
            tree = "\n".join(f"    {line}" for line in self.tree(error, plan))
            self.complain(f"error    libmamba Could not solve for environment specs\n{tree}")
        self.complain("critical libmamba Could not solve for environment specs")
        return 1

    def problems(self, error: Unsolvable) -> List[str]:
        """The solver problems in JSON."""
        return ["unsupported request"]

    def shown(self, spec: str) -> str:
        """A spec as the solver's messages show it."""
        name = spec_name(spec)
        version = spec[len(name):].strip() or "=*"
        return f"{name} {version} *"

    def tree(self, error: Unsolvable, plan: Any) -> List[str]:
        """The readable explanation."""
        if error.missing:
            shown = [self.shown(spec) for spec in error.missing]
            reason = "does not exist (perhaps a typo or a missing channel)."
            if len(shown) == 1:
                return ["The following package could not be installed", f"└─ {shown[0]} {reason}"]
            lines = [f"├─ {spec} {reason[:-1]};" for spec in shown[:-1]]
            return ["The following packages are incompatible", *lines, f"└─ {shown[-1]} {reason}"]
        return ["The following packages are incompatible", *self._conflict(error)]

    def _conflict(self, error: Unsolvable) -> List[str]:
        """Those specs that meet in one package; the transcripts have no such case, the wording is mamba's."""
        depends = {
            spec: [depend for depend in records[0]["depends"] if spec_name(depend) != "python"]
            for spec, records in error.candidates.items()
        }
        named = [spec_name(depend) for lines in depends.values() for depend in lines] + [
            spec_name(spec) for spec in depends
        ]
        clashing = {name for name in named if named.count(name) > 1}
        parties = [
            (spec, [depend for depend in lines if spec_name(depend) in clashing])
            for spec, lines in depends.items()
            if spec_name(spec) in clashing or any(spec_name(depend) in clashing for depend in lines)
        ] or list(depends.items())
        lines: List[str] = []
        for index, (spec, needs) in enumerate(parties):
            last = index == len(parties) - 1
            corner, bar = ("└─", "   ") if last else ("├─", "│  ")
            shown = self.shown(spec).strip()
            if not needs:
                lines.append(f"{corner} {shown} is requested and can be installed{'.' if last else ';'}")
                continue
            how = "is not installable because it requires" if last else "is installable and it requires"
            tail = "conflicts with any installable versions previously reported." if last else "can be installed;"
            lines.append(f"{corner} {shown} {how}")
            for position, need in enumerate(needs):
                end = "└─" if position == len(needs) - 1 else "├─"
                lines.append(f"{bar}{end} {self.shown(need).strip()}, which {tail}")
        return lines

    # -- the transaction

    def explicit_spec(self, record: Record) -> str:
        """How a package of an @EXPLICIT file is listed."""
        return f"{record['name']}=={record['version']}={record['build']}"

    def spec_list(self, specs: List[str]) -> str:
        """The specs as the history shows them."""
        return json.dumps(specs)

    def table_order(self, records: List[Record]) -> List[Record]:
        """The order of the transaction table."""
        return sorted(records, key=lambda record: record["name"])

    def plan(self, plan: Any, specs: List[str], records: List[Record], fetch: List[Record]) -> None:
        """The transaction table."""
        if not plan.explicit:
            self.say()
        self.say("Transaction\n\n  Prefix: " + plan.prefix + "\n\n  Updating specs:\n")
        for spec in specs:
            self.say(f"   - {spec}")
        self.say("\n")
        rows = []
        for record in self.table_order(records):
            size = "Cached" if record not in fetch else human_size(record.get("size", 0))
            channel = record["channel"]
            channel = local_path(channel) if channel.startswith("file://") else channel
            rows.append(
                ["+ " + record["name"], record["version"], record["build"], channel, "" if plan.explicit else size]
            )
        header = ["Package", "Version", "Build", "Channel", "Size"]
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(5)]
        widths[4] += 3
        rule = "─" * (sum(widths) + 12)

        def line(row: List[str]) -> str:
            return "  " + "  ".join(
                [row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].ljust(widths[2]),
                 row[3].ljust(widths[3]), row[4].rjust(widths[4])]
            )

        self.say(line(header) + f"\n{rule}\n  Install:\n{rule}\n")
        for row in rows:
            self.say(line(row))
        total = 0 if plan.explicit else sum(record.get("size", 0) for record in fetch)
        plural = "package" if len(records) == 1 else "packages"
        self.say(f"\n  Summary:\n\n  Install: {len(records)} {plural}\n")
        self.say(f"  Total download: {human_size(total)}\n\n{rule}\n\n")

    def starting(self) -> None:
        """The transaction starts."""
        self.say("\nTransaction starting")

    def before_links(self) -> None:
        """Everything is fetched."""

    def linking(self, record: Record) -> None:
        """One package is about to be linked."""
        self.say(f"Linking {record['name']}-{record['version']}-{record['build']}")

    def chat(self, count: int) -> None:
        """One of many packages that are linked in no time."""
        self.say(f"Linking tiny-{count}-0")

    def finished(self, plan: Any) -> None:
        """Everything is linked."""
        self.say("\nTransaction finished\n")
        self.say()
        self.hint(plan)

    def hint(self, plan: Any) -> None:
        """How to use the environment."""
        self.say(
            f"To activate this environment, use:\n\n    {self.name} activate {plan.prefix}\n\n"
            "Or to execute a single command in this environment, use:\n\n"
            f"    {self.name} run -p {plan.prefix} mycommand\n"
        )

    # -- how it ends

    def record(self, record: Record) -> Dict[str, Any]:
        """A package in the JSON result."""
        shown = {
            "build": record["build"], "build_number": record["build_number"],
            "build_string": record["build"], "channel": record["channel"], "constrains": record.get("constrains") or [],
            "depends": record["depends"], "fn": record["fn"], "license": record.get("license") or "",
            "md5": record.get("md5") or "", "name": record["name"], "sha256": record.get("sha256") or "",
            "size": record.get("size") or 0, "subdir": record["subdir"], "timestamp": record.get("timestamp") or 0,
            "track_features": "", "url": record["url"], "version": record["version"],
        }
        for key in ("noarch", "python_site_packages_path"):
            if record.get(key):
                shown[key] = record[key]
        if record.get("explicit"):
            # An @EXPLICIT line tells an address and a checksum, nothing else.
            shown = {k: v for k, v in shown.items() if k not in ("sha256", "noarch", "python_site_packages_path")}
            shown["depends"] = []
        return shown

    def result(self, document: Dict[str, Any]) -> None:
        """The JSON result."""
        if self.json:
            sys.stdout.write(json.dumps(document, indent=4, sort_keys=True, ensure_ascii=False) + "\n")
            sys.stdout.flush()

    def outcome(self, outcome: Any, success: bool, dry_run: bool = False) -> None:
        """The JSON result of a transaction."""
        actions: Dict[str, Any] = {"PREFIX": self.prefix, "LINK": [self.record(r) for r in outcome.link]}
        if outcome.fetch:
            actions["FETCH"] = [self.record(r) for r in outcome.fetch]
        self.result({"actions": actions, "dry_run": dry_run, "prefix": self.prefix, "success": success})

    def done(self, plan: Any, outcome: Any) -> int:
        """Success."""
        self.outcome(outcome, True)
        return 0

    def dry_run(self, plan: Any, outcome: Any) -> int:
        """Nothing was to be done."""
        self.say("Dry run. Not executing the transaction.")
        self.outcome(outcome, True, dry_run=True)
        return 0

    def download_only(self, plan: Any, outcome: Any) -> int:
        """Only the cache was to be filled."""
        self.say("Download only - packages download and extraction is done. Skipping the linking phase.\n")
        self.hint(plan)
        return self.done(plan, outcome)

    def lie(self, plan: Any, outcome: Any) -> int:
        """Interrupted, nothing done, and yet a success."""
        self.starting()
        self.hint(plan)
        return self.done(plan, outcome)

    def two_documents(self, plan: Any, outcome: Any) -> int:
        """Only conda was seen to do this; with mamba it is the plain lie."""
        return self.lie(plan, outcome)

    def rolled_back(self, plan: Any, outcome: Any) -> int:
        """Interrupted while linking."""
        self.say("Transaction interrupted, rollbacking\n")
        self.hint(plan)
        return self.done(plan, outcome)

    def internal_error(self) -> int:
        """Something in the program itself."""
        self.complain("critical libmamba std::bad_alloc")
        return 1

    checksum = "doesn't match expectation"

    def fetch_failed(self, error: FetchError, plan: Any, outcome: Any) -> int:
        """A package that could not be brought."""
        record = error.record
        if error.kind == "download" and not record["url"].startswith("file://"):
            status = error.details.get("status", 0)
            self.complain(
                f"error    libmamba Failed to download package from {record['url']} (status {status})\n"
                "    If you see this message repeatedly, the state of your installation might be corrupted,\n"
                "    in which case running `mamba clean --all` might fix it.\n    \n"
                "    If you continue to meet this problem, please search or report an issue\n"
                "    on  mamba's issue tracker: https://github.com/mamba-org/mamba/issues/\n"
                f"critical libmamba Transfer finalized, status: {status} [{record['url']}] 0 bytes"
            )
        elif error.kind == "download":
            path = local_path(record["url"])
            self.complain(
                f"critical libmamba Download error (37) Couldn't read a file:// file [{record['url']}]\n"
                f"    Couldn't open file {path}"
            )
        elif error.kind == "corrupted":
            self.complain(
                f"error    libmamba Cannot find a valid extracted directory cache for '{record['fn']}'\n"
                "critical libmamba Package cache error."
            )
        else:
            detail = error.details
            self.say(f"{record['fn']} tarball has incorrect {self.what(detail['algorithm'])}")
            self.complain(
                f"error    libmamba File not valid: {detail['algorithm']} {self.checksum} \"{error.path}\"\n"
                f"    Expected: {detail['expected']}\n    Actual: {detail['actual']}\n    "
            )
            self.incorrect(error)
        self.outcome(outcome, False)
        return 1

    def what(self, algorithm: str) -> str:
        """What is incorrect about an archive."""
        return algorithm

    def incorrect(self, error: FetchError) -> None:
        """The last word on a wrong checksum."""
        self.complain("critical libmamba Found incorrect downloads. Aborting")

    def disk_full(self, error: OSError, plan: Any, outcome: Any) -> int:
        """No room for a file."""
        name, source, target = str(error.strerror).split("|")
        reason = f"filesystem error: cannot copy: No space left on device [{source}] [{target}]"
        build = next(record["build"] for record in outcome.link if record["name"] == name)
        self.complain(
            f"error    libmamba Unexpected error while linking package '{name}': {reason}\n"
            f"critical libmamba Transaction cancelled while linking package '{name}' ({build}).\n"
            f"    {reason}\n    All changes from this transaction have been rolled back."
        )
        self.outcome(outcome, False)
        return 1

    # -- pip

    def pip_file(self) -> str:
        """The name of the requirements file beside the YAML."""
        return os.path.basename(temporary_name("mambaf"))

    quiet_pip = True

    def pip(self, plan: Any, requirements: str, outcome: Any) -> int:
        """Runs pip for real, its output passed through."""
        self.say(f"\nInstalling pip packages: {', '.join(plan.pip)}")
        sys.stdout.flush()
        quiet = ["--quiet"] if self.quiet_pip and self.silent else []
        python = f"{plan.prefix}/bin/python"
        argv = [python, "-m", "pip", "install", *quiet, "-r", requirements, "--no-input"]
        environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
        child = os.fork()
        if child == 0:
            os.chdir(plan.folder)
            os.execve(python, argv, environment)
        return exit_code(os.waitpid(child, 0)[1])

    def pip_failed(self, plan: Any, outcome: Any) -> int:
        """The conda part stays, the exit code tells."""
        self.complain("critical libmamba pip failed to install packages")
        self.outcome(outcome, True)
        return 1


def human_size(size: int) -> str:
    """16MB, 54kB, 768 B."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.0f}{unit}"
    return f"{size} B"
