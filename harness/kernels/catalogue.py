# SPDX-License-Identifier: Apache-2.0
"""The catalogue of kernels, kernels.toml beside this."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harness.datapath.features import release

CATALOGUE = Path(__file__).with_name("kernels.toml")


@dataclass(frozen=True)
class Catalogue:
    """What kernels.toml says.

    Attributes:
        default: Version prefixes, oldest first, that are run when none is named.
        suites: Archive (`main`, `security`) → the suites of it that hold kernels.
        devices: Device, by its module → the first version whose guests must have it.
        modules: Group (`boot`, `testbed`, `wanted`) → module → its option, and what it is for.
    """

    default: tuple[str, ...]
    suites: dict[str, tuple[str, ...]]
    devices: dict[str, str]
    modules: dict[str, dict[str, str]]

    def owed(self, version: str) -> list[str]:
        """The devices that a guest of a kernel must have; `version` as in 6.12.118."""
        running = release(version)
        return [name for name, since in self.devices.items() if running >= release(since)]


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The catalogue, read once."""
    table = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    return Catalogue(
        tuple(table["default"]),
        {archive: tuple(suites) for archive, suites in table["suites"].items()},
        table["devices"],
        table["modules"],
    )
