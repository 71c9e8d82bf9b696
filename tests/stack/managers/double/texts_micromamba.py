"""What micromamba 1.5.12 prints while it creates an environment, where it differs from mamba 2.8.1."""

from typing import Any, Dict, List

from .cache import FetchError
from .solver import Record, Unsolvable, spec_name
from .texts_mamba import Mamba


class Micromamba(Mamba):
    """The voice of micromamba 1.5.12: fewer words, other order, older spellings."""

    name = "micromamba"
    rolls_back = False
    occurred = "occured"
    footer = "    "
    checksum = "sum doesn't match expectation"
    quiet_pip = False

    def prepare(self, plan: Any) -> None:
        """1.5 does not warn about pip and does not report on repodata."""

    def solved(self) -> None:
        """Nothing is said."""

    def linking(self, record: Record) -> None:
        """1.5 has no Linking lines."""

    def problems(self, error: Unsolvable) -> List[str]:
        """1.5 names the problem in JSON too."""
        if error.missing:
            return [f"nothing provides requested {self.shown(spec).strip()}" for spec in error.missing]
        return [f"package {spec} is excluded by the other requests" for spec in error.candidates]

    def shown(self, spec: str) -> str:
        """`numpy=1.20` becomes `numpy 1.20**`; a bare name stays bare."""
        name = spec_name(spec)
        version = spec[len(name):].strip()
        if not version:
            return name
        if version.startswith("=") and not version.startswith("=="):
            return f"{name} {version[1:]}** "
        return f"{name} {version} "

    def explicit_spec(self, record: Record) -> str:
        """1.5 lists the whole address."""
        stem = f"{record['name']}=={record['version']}={record['build']}"
        return f"{record['channel']}/{record['subdir']}::{stem}[md5={record.get('md5', '')}]"

    def table_order(self, records: List[Record]) -> List[Record]:
        """As they will be linked."""
        return records

    def record(self, record: Record) -> Dict[str, Any]:
        """The channel comes with its subdir, and newer fields are unknown."""
        shown = super().record(record)
        for key in ("noarch", "python_site_packages_path"):
            shown.pop(key, None)
        shown.update(channel=f"{record['channel']}/{record['subdir']}", constrains=record.get("constrains") or None)
        if record.get("explicit"):
            shown.update(channel=record["channel"], depends=None)
        return shown

    def foreign_directory(self) -> int:
        """1.5 refuses any folder."""
        self.complain("error    libmamba Non-conda folder exists at prefix\ncritical libmamba Aborting.")
        return 1

    def finished(self, plan: Any) -> None:
        """One empty line less than 2.x."""
        self.say("\nTransaction finished\n")
        self.hint(plan)

    def download_only(self, plan: Any, outcome: Any) -> int:
        """Other words, and no hint."""
        self.say("Download only - packages are downloaded and extracted. Skipping the linking phase.")
        return self.done(plan, outcome)

    def what(self, algorithm: str) -> str:
        """1.5 does not say which sum."""
        return "checksum"

    def fetch_failed(self, error: FetchError, plan: Any, outcome: Any) -> int:
        """A broken cache is possible here: two creates at once do not lock each other out."""
        if error.kind != "corrupted":
            return super().fetch_failed(error, plan, outcome)
        self.complain(
            "critical libmamba Failed to create dir 'site-packages'\n"
            f'error    libmamba Error opening for reading "{error.path}/info/index.json": No such file or directory\n'
            "error    libmamba Error when extracting package: [json.exception.parse_error.101] parse error at"
            " line 1, column 1: syntax error while parsing value - unexpected end of input; expected '[', '{',"
            f" or a literal\ncritical libmamba Found incorrect download: {error.record['name']}. Aborting"
        )
        self.outcome(outcome, False)
        return 1

    def incorrect(self, error: FetchError) -> None:
        """1.5 names the package."""
        self.complain(
            f"warning  libmamba '{error.path}' validation failed\n"
            f"critical libmamba Found incorrect download: {error.record['name']}. Aborting"
        )

    def disk_full(self, error: OSError, plan: Any, outcome: Any) -> int:
        """1.5 leaves everything as it is."""
        _, source, target = str(error.strerror).split("|")
        self.complain(f"critical libmamba filesystem error: cannot copy: No space left on device [{source}] [{target}]")
        self.outcome(outcome, False)
        return 1
