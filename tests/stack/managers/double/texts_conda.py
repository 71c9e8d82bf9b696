"""What conda 26.7.1 with the classic solver prints while it creates an environment."""

import json
import os
import shutil
import signal
import sys
from typing import Any, Dict, List

from .cache import FetchError
from .options import Parsed
from .run import read_all, temporary_name
from .processes import exit_code
from .solver import ChannelError, Record, Unsolvable, local_path


class Conda:
    """The voice of conda."""

    records_at_once = True
    """conda writes the conda-meta records after all files are linked."""
    rolls_back = True

    def __init__(self, parsed: Parsed, prefix: str) -> None:
        self.parsed = parsed
        self.prefix = prefix
        self.json = parsed.has("json")
        self.quiet = parsed.has("quiet")
        self._explicit = False

    def write(self, text: str) -> None:
        """Text on stdout, at once."""
        if not self.json:
            sys.stdout.write(text)
            sys.stdout.flush()

    def fail(self, name: str, message: str, extra: Dict[str, Any], text_name: str = "") -> int:
        """An exception: a document with --json, words on stderr otherwise."""
        error = f"{text_name or name}: {message}" if message else name
        if self.json:
            document = {
                "caused_by": "None",
                "error": error,
                "exception_name": name,
                "exception_type": f"<class 'conda.exceptions.{name}'>",
                "message": message,
                **extra,
            }
            sys.stdout.write(json.dumps(document, indent=2, sort_keys=True) + "\n\n")
        else:
            sys.stdout.flush()
            sys.stderr.write(f"\n{error}\n\n")
        return 1

    def no_prefix(self) -> int:
        """Neither -p nor -n."""
        return self.fail("ArgumentError", "one of the arguments -n/--name -p/--prefix is required", {})

    def no_file(self, error: OSError) -> int:
        """A file that cannot be read."""
        return self.fail("EnvironmentFileNotFound", f"'{error.filename}' file not found", {})

    def prepare(self, plan: Any) -> None:
        """Repodata is about to be read."""
        self._explicit = bool(plan.explicit)
        if not self._explicit:
            self.write("Collecting package metadata (current_repodata.json): ...working... ")

    def solved(self) -> None:
        """The solve went well."""
        self.write("done\nSolving environment: ...working... done\n")

    def bad_channel(self, error: ChannelError, network: bool) -> int:
        """A channel that is not there, or a network that is not."""
        self.write("failed\n")
        if network or not error.url.startswith("file://"):
            return self.fail(
                "CondaHTTPError",
                f"HTTP 000 CONNECTION FAILED for url <{error.url}>\nElapsed: -\n\n"
                "An HTTP error occurred when trying to retrieve this URL.\n"
                "HTTP errors are often intermittent, and a simple retry will get you on your way.",
                {},
            )
        name, path = error.channel.rpartition("/")[2], local_path(error.channel)
        message = (
            f"HTTP 404 UNAVAILABLE OR INVALID for channel {name} <{error.channel}>\n\n"
            "The channel is not accessible or is invalid.\n\n"
            "You will need to adjust your conda configuration to proceed.\n"
            "Use `conda config --show channels` to view your configuration's current state,\n"
            "and use `conda config --show-sources` to view config file locations.\n\n"
            "As of conda 4.3, a valid channel must contain a\n`noarch/repodata.json` even if "
            f"`noarch/repodata.json` is\nempty. Use `conda index {path}`, or create `noarch/repodata.json`\n"
        )
        details = {
            "error": "file does not exist",
            "exception": "FileNotFoundError(2, 'No such file or directory')",
            "path": f"{path}/noarch/repodata.json",
        }
        extra = {
            "channel_name": name, "channel_url": error.channel, "json": details, "reason": "UNAVAILABLE OR INVALID",
            "response_details": "\n<<FILE 404 None\n< Elapsed: 00:00.000251\n\n", "status_code": 404,
        }
        return self.fail("UnavailableInvalidChannel", message, extra)

    def unsolvable(self, error: Unsolvable, plan: Any) -> int:
        """Specs without a solution."""
        self.write(
            "done\nSolving environment: ...working... unsuccessful attempt using repodata from "
            "current_repodata.json, retrying with next repodata source.\n"
            "Collecting package metadata (repodata.json): ...working... done\n"
            "Solving environment: ...working... "
        )
        if not error.missing:
            self.write(
                "\nFound conflicts! Looking for incompatible packages.\n"
                "This can take several minutes.  Press CTRL-C to abort.\nfailed\n"
            )
            return self._conflict(error)
        self.write("failed\n")
        urls = [f"{channel}/{subdir}" for channel in plan.channels for subdir in ("linux-64", "noarch")]
        packages = "".join(f"\n  - {spec}" for spec in error.missing)
        channels = "".join(f"\n  - {url}" for url in urls)
        message = (
            f"The following packages are not available from current channels:\n{packages}\n\n"
            f"Current channels:\n{channels}\n\n"
            "To search for alternate channels that may provide the conda package you're\n"
            "looking for, navigate to\n\n    https://anaconda.org\n\n"
            "and use the search bar at the top of the page.\n"
        )
        extra = {
            "channel_urls": urls, "channels_formatted": channels,
            "packages": error.missing, "packages_formatted": packages,
        }
        return self.fail("PackagesNotFoundInChannelsError", message, extra)

    def _conflict(self, error: Unsolvable) -> int:
        chains: Dict[str, List[str]] = {}
        for spec, records in error.candidates.items():
            for depend in {d for record in records for d in record["depends"]}:
                name, _, version = depend.partition(" ")
                chains.setdefault(name, []).append(f"{spec} -> {name}" + (f"[version='{version}']" if version else ""))
        clashes = {name: sorted(lines) for name, lines in chains.items() if len(lines) > 1 and name != "python"}
        shown = "\n\n".join(
            f"Package {name} conflicts for:\n" + "\n".join(lines) for name, lines in sorted(clashes.items())
        )
        message = (
            "The following specifications were found to be incompatible with each other:\n\n"
            f"Output in format: Requested package -> Available versions\n\n{shown}"
        )
        return self.fail("UnsatisfiableError", message, {})

    def explicit_spec(self, record: Record) -> str:
        """How a package of an @EXPLICIT file is listed."""
        return f"{record['channel']}/{record['subdir']}::{record['name']}=={record['version']}={record['build']}"

    def spec_list(self, specs: List[str]) -> str:
        """The specs as the history shows them."""
        return repr(sorted(specs))

    def plan(self, plan: Any, specs: List[str], records: List[Record], fetch: List[Record]) -> None:
        """The package plan."""
        if plan.explicit:
            return
        lines = ["\n## Package Plan ##\n", f"  environment location: {plan.prefix}\n", "  added / updated specs:"]
        lines += [f"    - {spec}" for spec in sorted(specs)] + ["\n"]
        ordered = sorted(records, key=lambda record: record["name"])
        if fetch:
            lines += ["The following packages will be downloaded:\n"]
            lines += [f"    {'package':<27}|{'build':>17}", f"    {'-' * 27}|{'-' * 17}"]
            for record in ordered:
                if record in fetch:
                    stem = f"{record['name']}-{record['version']}"
                    size = human_size(record.get("size", 0))
                    lines.append(f"    {stem:<27}|{record['build']:>17}{size:>15}  {record['channel']}")
            total = human_size(sum(record.get("size", 0) for record in fetch))
            lines += [f"    {'-' * 60}", f"{' ' * 43}Total: {total:>14}\n"]
        lines += ["The following NEW packages will be INSTALLED:\n"]
        for record in ordered:
            stem = f"{record['name']}-{record['version']}-{record['build']}"
            channel = record["channel"].rpartition("/")[2]
            lines.append(f"  {record['name']:<18} {channel}/{record['subdir']}::{stem} ")
        self.write("\n".join(lines) + "\n\n\n")

    def dry_run(self, plan: Any, outcome: Any) -> int:
        """Nothing was to be done."""
        if self.json:
            self._document(outcome, dry_run=True)
        else:
            sys.stderr.write("\nDryRunExit: Dry run. Exiting.\n\n")
        return 0

    def fetching(self) -> None:
        """Packages are being fetched."""
        if not self.quiet and not self._explicit:
            self.write("\nDownloading and Extracting Packages: ...working... ")

    def starting(self) -> None:
        """conda says nothing between plan and download."""

    def before_links(self) -> None:
        """Everything is fetched."""
        if not self.quiet and not self._explicit:
            self.write("done\n")
        self.write("Preparing transaction: ...working... done\nVerifying transaction: ...working... done\n")
        self.write("Executing transaction: ...working... ")

    def linking(self, record: Record) -> None:
        """conda does not name the packages."""

    def chat(self, count: int) -> None:
        """conda does not name the packages."""

    def internal_error(self) -> int:
        """Something in the program itself: the report of conda for what it has not thought of."""
        sys.stdout.flush()
        sys.stderr.write(
            "\n# >>>>>>>>>>>>>>>>>>>>>> ERROR REPORT <<<<<<<<<<<<<<<<<<<<<<\n\n"
            "    Traceback (most recent call last):\n"
            '      File "/opt/conda/lib/python3.12/site-packages/conda/exception_handler.py", line 18, in __call__\n'
            "        return func(*args, **kwargs)\n"
            "    AttributeError: 'NoneType' object has no attribute 'name'\n\n"
            "`$ /opt/conda/bin/conda create`\n\n"
            "  environment variables:\n                 CIO_TEST=<not set>\n\n"
            "An unexpected error has occurred. Conda has prepared the above report.\n\n"
        )
        return 1

    def finished(self, plan: Any) -> None:
        """Everything is linked."""
        self.write("done\n")

    def _document(self, outcome: Any, dry_run: bool = False) -> None:
        def row(record: Record) -> Dict[str, Any]:
            return {
                "base_url": record["channel"], "build_number": record["build_number"],
                "build_string": record["build"], "channel": record["channel"].rpartition("/")[2],
                "dist_name": f"{record['name']}-{record['version']}-{record['build']}",
                "name": record["name"], "platform": record["subdir"], "version": record["version"],
            }

        actions: Dict[str, Any] = {
            "FETCH": [row(record) for record in outcome.fetch],
            "PREFIX": self.prefix,
            "LINK": [row(record) for record in outcome.link],
        }
        if outcome.pip:
            actions["PIP"] = outcome.pip
        document: Dict[str, Any] = {"success": True, "actions": actions, "prefix": self.prefix}
        if dry_run:
            document["dry_run"] = True
        sys.stdout.write(json.dumps(document, indent=2))

    def done(self, plan: Any, outcome: Any) -> int:
        """Success."""
        if self.json:
            self._document(outcome)
        elif not self.quiet:
            self.write(
                f"#\n# To activate this environment, use\n#\n#     $ conda activate {plan.prefix}\n#\n"
                "# To deactivate an active environment, use\n#\n#     $ conda deactivate\n\n"
            )
        return 0

    def lie(self, plan: Any, outcome: Any) -> int:
        """A success that is none, as seen from two conda at once."""
        self.before_links()
        self.finished(plan)
        return self.done(plan, outcome)

    def two_documents(self, plan: Any, outcome: Any) -> int:
        """A success and a failure in one output, and exit code 0: seen from two conda at once."""
        self.done(plan, outcome)
        return self.fail("CondaSystemExit", "Exiting 1", {}) * 0

    def download_only(self, plan: Any, outcome: Any) -> int:
        """Only the cache was to be filled."""
        self.write("done\n" if not self.quiet else "")
        shutil.rmtree(plan.prefix, ignore_errors=True)
        return self.fail("CondaExitZero", "Package caches prepared. UnlinkLinkTransaction cancelled with --download-only.", {}) * 0

    def interrupted(self, outcome: Any) -> int:
        """Interrupted before the transaction."""
        return self.fail("CondaSignalInterrupt", f"Signal interrupt {signal.Signals(outcome.interrupted).name}", {})

    def rolled_back(self, plan: Any, outcome: Any) -> int:
        """Interrupted while linking."""
        self.write("done\nRolling back transaction: ...working... done\n")
        shutil.rmtree(plan.prefix, ignore_errors=True)
        name = signal.Signals(outcome.interrupted).name
        return self.fail("CondaSignalInterrupt", f"Signal interrupt {name}" + ("" if self.json else "\n\n()"), {})

    def fetch_failed(self, error: FetchError, plan: Any, outcome: Any) -> int:
        """A package that could not be brought."""
        self.write("" if self.quiet else "failed\n")
        url = error.record["url"]
        if error.kind == "checksum":
            detail = error.details
            algorithm = detail["algorithm"].lower()
            message = (
                "Conda detected a mismatch between the expected content and downloaded content\n"
                f"for url '{url}'.\n  download saved to: {error.path}\n"
                f"  expected {algorithm}: {detail['expected']}\n  actual {algorithm}: {detail['actual']}\n"
            )
            return self.fail("ChecksumMismatchError", message, {"url": url})
        if error.kind == "corrupted":
            archive = os.path.join(os.path.dirname(error.path), error.record["fn"])
            message = (
                f"InvalidArchiveError(\"Error with archive {archive}.  You probably need to delete and re-download "
                "or re-create this file.  Message was:\\n\\nfailed with error: [Errno 2] No such file or directory: "
                f"'{error.path}/info/index.json'\")"
            )
            return self.fail("InvalidArchiveError", message, {})
        return self.fail("CondaHTTPError", f"HTTP 404 NOT FOUND for url <{url}>\nElapsed: -\n", {})

    def disk_full(self, error: OSError, plan: Any, outcome: Any) -> int:
        """No room for a file."""
        self.write("failed\nRolling back transaction: ...working... done\n")
        shutil.rmtree(plan.prefix, ignore_errors=True)
        target = str(error.strerror).split("|")[2]
        return self.fail("NoSpaceLeftError", f"[Errno 28] No space left on device: '{target}'", {})

    def pip_file(self) -> str:
        """The name of the requirements file beside the YAML."""
        return f"condaenv.{os.path.basename(temporary_name('tmp'))[3:]}.requirements.txt"

    def pip(self, plan: Any, requirements: str, outcome: Any) -> int:
        """Runs pip for real, its output captured."""
        self.write("Installing pip dependencies: ...working... ")
        streams: List[Any] = [os.pipe(), os.pipe()]
        python = f"{plan.prefix}/bin/python"
        argv = [python, "-m", "pip", "install", "-U", "-r", requirements, "--exists-action=b"]
        environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
        child = os.fork()
        if child == 0:
            os.chdir(plan.folder)
            os.dup2(streams[0][1], 1)
            os.dup2(streams[1][1], 2)
            os.execve(python, argv, environment)
        out, err = read_all(streams)
        code = exit_code(os.waitpid(child, 0)[1])
        if code != 0:
            self.write("failed\n")
            sys.stderr.write(f"Pip subprocess error:\n{err.decode()}\n")
            return code
        for line in out.decode().splitlines():
            if line.startswith("Successfully installed "):
                outcome.pip = line.split()[2:]
        self.write("done\n")
        return 0

    def pip_failed(self, plan: Any, outcome: Any) -> int:
        """The conda part stays, the exit code tells."""
        return self.fail("CondaEnvException", "Pip failed", {})


def human_size(size: int) -> str:
    """15.1 MB, 54 KB, 768 B."""
    if size < 1024:
        return f"{size} B"
    if size < 1024 * 1024:
        return f"{round(size / 1024)} KB"
    return f"{size / 1024 / 1024:.1f} MB"
