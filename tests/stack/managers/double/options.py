"""Command lines as the real parsers take them: what they do not know, these refuse in the same words."""

from typing import Any, Dict, List, Optional, Tuple


class UsageError(Exception):
    """A command line the real program refuses; carries the text for stderr and the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Table:
    """The options of one command: flags, and those that take one value (or many, when repeated)."""

    def __init__(self, flags: str, values: str, stop_at_positional: bool = False) -> None:
        self.flags: Dict[str, str] = {}
        self.values: Dict[str, str] = {}
        for target, text in ((self.flags, flags), (self.values, values)):
            for names in text.split():
                spellings = names.split("/")
                for spelling in spellings:
                    target[spelling] = spellings[-1].lstrip("-").replace("-", "_")
        self.stop_at_positional = stop_at_positional


class Parsed:
    """What a command line says."""

    def __init__(self) -> None:
        self.flags: set = set()
        self.values: Dict[str, List[str]] = {}
        self.positional: List[str] = []
        self.unknown: List[str] = []
        self.missing: Optional[Tuple[str, str]] = None

    def has(self, name: str) -> bool:
        """Whether the flag is given."""
        return name in self.flags

    def one(self, name: str) -> Optional[str]:
        """The last value of an option."""
        values = self.values.get(name)
        return values[-1] if values else None

    def all(self, name: str) -> List[str]:
        """Every value of a repeatable option."""
        return self.values.get(name, [])


def parse(table: Table, words: List[str]) -> Parsed:
    """Splits words into flags, values and positionals; unknown options are collected."""
    parsed, index = Parsed(), 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--":
            parsed.positional += words[index:]
            break
        if not word.startswith("-") or word == "-":
            if table.stop_at_positional:
                parsed.positional += words[index - 1:]
                break
            parsed.positional.append(word)
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("--") and len(word) > 2:
            name, value = word[:2], word[2:]
            if name in table.flags:
                parsed.flags.add(table.flags[name])
                words.insert(index, "-" + value)
                continue
            equals = "="
        if name in table.flags and not equals:
            parsed.flags.add(table.flags[name])
        elif name in table.values:
            if not equals:
                if index >= len(words):
                    parsed.missing = (name, "argument")
                    break
                value = words[index]
                index += 1
            parsed.values.setdefault(table.values[name], []).append(value)
        elif table.stop_at_positional:
            parsed.positional += words[index - 1:]
            break
        else:
            parsed.unknown.append(word)
    return parsed


def cli11(table: Table, words: List[str]) -> Parsed:
    """Parses as mamba and micromamba do."""
    parsed = parse(table, list(words))
    hint = "\nRun with --help for more information.\n"
    if parsed.missing:
        raise UsageError(f"{parsed.missing[0]}: 1 required TEXT missing{hint}", 114)
    if parsed.unknown:
        verb = "argument was" if len(parsed.unknown) == 1 else "arguments were"
        raise UsageError(f"The following {verb} not expected: {' '.join(parsed.unknown)}{hint}", 109)
    return parsed


def argparse(table: Table, words: List[str]) -> Parsed:
    """Parses as conda does."""
    parsed = parse(table, list(words))
    usage = "usage: conda [-h] [-v] [--no-plugins] [-V] COMMAND ...\n"
    if parsed.missing:
        raise UsageError(f"{usage}conda: error: argument {parsed.missing[0]}: expected one argument\n", 2)
    if parsed.unknown:
        raise UsageError(f"{usage}conda: error: unrecognized arguments: {' '.join(parsed.unknown)}\n", 2)
    return parsed


_COMMON = "-y/--yes -q/--quiet --json --offline --dry-run --no-rc --no-env --debug -v/--verbose"
_COMMON_VALUES = "-n/--name -p/--prefix -r/--root-prefix --rc-file --log-level"
_CREATE = (
    f"{_COMMON} --override-channels --strict-channel-priority --no-channel-priority --download-only "
    "--no-pin --no-py-pin --pyc --no-pyc --allow-uninstall --no-allow-uninstall --allow-downgrade "
    "--no-allow-downgrade --allow-softlinks --no-allow-softlinks --always-softlink --no-always-softlink "
    "--always-copy --no-always-copy --copy --lock-timeout-off --extra-safety-checks --no-extra-safety-checks "
    "--verify-artifacts --shortcuts --no-shortcuts --no-deps --only-deps --retry-clean-cache "
    "--ssl-no-revoke --experimental"
)
_CREATE_VALUES = (
    f"{_COMMON_VALUES} -c/--channel -f/--file --channel-priority --relocate-prefix --repodata-ttl "
    "--safety-checks --lock-timeout --platform --channel-alias --ssl-verify --cacert-path --category"
)

MAMBA = {
    "create": Table(_CREATE.replace("--lock-timeout-off ", "") + " --use-uv --no-use-uv", _CREATE_VALUES),
    "run": Table(
        "-d/--detach --clean-env -v/--verbose --debug",
        "-p/--prefix -n/--name -r/--root-prefix -a/--attach --cwd -e/--env --label",
        stop_at_positional=True,
    ),
    "list": Table(f"{_COMMON} --full-name --no-pip --reverse --explicit --md5 --sha256 --canonical --export", _COMMON_VALUES),
    "env export": Table(f"{_COMMON} --explicit --no-build --no-builds --no-md5 --md5 --from-history --channel-subdir", _COMMON_VALUES),
    "env list": Table(_COMMON, _COMMON_VALUES),
    "info": Table(f"{_COMMON} --base -e/--envs --licenses", _COMMON_VALUES),
    "config list": Table(f"{_COMMON} --show-source -a/--all", _COMMON_VALUES),
    "clean": Table(
        f"{_COMMON} -a/--all -i/--index-cache -p/--packages -t/--tarballs -l/--locks --trash -f/--force-pkgs-dirs",
        "-r/--root-prefix --rc-file --log-level",
    ),
}
MICROMAMBA = {
    **MAMBA,
    "create": Table(_CREATE.replace("--lock-timeout-off ", ""), _CREATE_VALUES),
    "list": Table(f"{_COMMON} --full-name", _COMMON_VALUES),
}
_CONDA = "-y/--yes -q/--quiet --json --offline -d/--dry-run -v/--verbose --no-plugins --debug --trace"
CONDA = {
    "create": Table(
        f"{_CONDA} --use-local --override-channels --strict-channel-priority --no-channel-priority "
        "--no-deps --only-deps --no-pin --copy --no-shortcuts -C/--use-index-cache -k/--insecure "
        "--download-only --show-channel-urls --no-default-packages --dev --no-lock "
        "--repodata-use-zst --no-repodata-use-zst",
        "-n/--name -p/--prefix -c/--channel --file --repodata-fn --experimental --shortcuts-only --console "
        "--solver --platform/--subdir --clone --environment-specifier",
    ),
    "env create": Table(
        f"{_CONDA} --no-default-packages", "-n/--name -p/--prefix -f/--file --solver --platform/--subdir"
    ),
    "run": Table(
        "-v/--verbose --dev --debug-wrapper-scripts -s/--no-capture-output/--live-stream",
        "-p/--prefix -n/--name --cwd",
        stop_at_positional=True,
    ),
    "list": Table(
        f"{_CONDA} --show-channel-urls --reverse -f/--full-name -e/--export --explicit --md5 --sha256 "
        "--canonical --no-pip --auth --size",
        "-n/--name -p/--prefix --fields",
    ),
    "env export": Table(
        f"{_CONDA} --override-channels --no-builds --ignore-channels --from-history",
        "-n/--name -p/--prefix -c/--channel -f/--file --format",
    ),
    "env list": Table(f"{_CONDA} --size", ""),
    "info": Table(f"{_CONDA} -a/--all --base -e/--envs -l/--license -s/--system --root --unsafe-channels", ""),
    "clean": Table(
        f"{_CONDA} -a/--all -i/--index-cache -p/--packages -t/--tarballs -f/--force-pkgs-dirs "
        "-l/--logfiles",
        "-c/--tempfiles",
    ),
}


def command_of(tables: Dict[str, Any], words: List[str]) -> Tuple[str, List[str]]:
    """The command a line names, and the words that belong to it ("" when it names none)."""
    for index, word in enumerate(words):
        if word.startswith("-"):
            continue
        rest = words[:index] + words[index + 1:]
        if word in tables:
            return word, rest
        following = rest[index] if index < len(rest) else ""
        if f"{word} {following}" in tables:
            return f"{word} {following}", rest[:index] + rest[index + 1:]
        break
    return "", words
