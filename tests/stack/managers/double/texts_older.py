"""What conda before 26 and mamba 1 print where it differs. From their sources, not recorded."""

import sys
from typing import Any, List

from .solver import ChannelError, Record, Unsolvable
from .texts_conda import Conda
from .texts_mamba import Mamba


class OlderConda(Conda):
    """conda 24 and 25, with the libmamba solver they come with."""

    def unsolvable(self, error: Unsolvable, plan: Any) -> int:
        """A missing package has another name, and a conflict is told by libmamba."""
        self.write("done\nSolving environment: ...working... failed\n")
        if error.missing:
            packages = "".join(f"\n  - {spec}" for spec in error.missing)
            channels = "".join(f"\n  - {channel}" for channel in plan.channels)
            return self.fail(
                "PackagesNotFoundError",
                f"The following packages are not available from current channels:\n{packages}\n\n"
                f"Current channels:\n{channels}\n\nTo search for alternate channels that may provide the conda "
                "package you're\nlooking for, navigate to\n\n    https://anaconda.org\n\nand use the search bar "
                "at the top of the page.\n",
                {},
            )
        tree = Mamba(self.parsed, self.prefix).tree(error, plan)
        message = (
            f"Encountered problems while solving:\n  - package {' '.join(error.candidates)} cannot be installed\n\n"
            "Could not solve for environment specs\n" + "\n".join(tree)
        )
        return self.fail("LibMambaUnsatisfiableError", message, {})


class OlderMamba(OlderConda):
    """mamba 1: mamba's solver and plan, conda's transaction; it fails with exit code 0."""

    def prepare(self, plan: Any) -> None:
        """It says what it looks for."""
        if not plan.explicit:
            self.write(f"\nLooking for: {plan.specs}\n\n")

    def solved(self) -> None:
        """Nothing is said."""

    def bad_channel(self, error: ChannelError, network: bool) -> int:
        """An exception of libmamba is printed and forgotten."""
        reason = f"Download error (37) Couldn't read a file:// file [{error.url}]"
        if network:
            reason = f"Download error (7) Couldn't connect to server [{error.url}]"
        sys.stderr.write(f"Multiple errors occured:\n{reason}\nSubdir {error.channel}/noarch not loaded!\n")
        return 0

    def unsolvable(self, error: Unsolvable, plan: Any) -> int:
        """The explanation goes to stdout."""
        tree: List[str] = Mamba(self.parsed, self.prefix).tree(error, plan)
        self.write("Could not solve for environment specs\n" + "\n".join(tree) + "\n")
        return 1

    def plan(self, plan: Any, specs: List[str], records: List[Record], fetch: List[Record]) -> None:
        """The table of mamba."""
        Mamba(self.parsed, self.prefix).plan(plan, specs, records, fetch)

    def fetching(self) -> None:
        """libmamba fetches, and is silent without a terminal."""
