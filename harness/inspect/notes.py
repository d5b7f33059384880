# SPDX-License-Identifier: Apache-2.0
"""What could not be looked at, one line each: the rest goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pyroute2.netlink.exceptions import NetlinkError

from harness.plumbing.errors import HarnessError, reason

_T = TypeVar("_T")


class Notes:
    """Lines such as `programs: cannot be read (Operation not permitted)`.

    Attributes:
        lines: They, in the order in which they came, each once.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, what: str, why: str) -> None:
        """Note that something could not be looked at."""
        line = f"{what}: {why}"
        if line not in self.lines:
            self.lines.append(line)

    def attempt(self, what: str, look: Callable[[], _T], otherwise: _T) -> _T:
        """Look, or note why not.

        Args:
            what: What is looked at.
            look: Looks.
            otherwise: The result where it cannot.
        """
        try:
            return look()
        except (HarnessError, OSError, NetlinkError) as error:
            self.add(what, reason(error))
            return otherwise
