# SPDX-License-Identifier: Apache-2.0
"""The enums of bpf/hostroute.h, read from the header itself.

So that a verdict or a drop reason has one place where its number and its name are written.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from harness.plumbing.errors import BuildError

#: The directory of the C sources, beside the package in a checkout.
BPF_DIR = Path(__file__).resolve().parents[2] / "bpf"

_ENUM = re.compile(r"enum (\w+) \{(.*?)\};", re.S)
_ENTRY = re.compile(r"^\s*(\w+) = (\d+),", re.M)


def parse_enums(header: str) -> dict[str, dict[int, str]]:
    """Return number → name for each enum of a C header.

    Names lose the enum's prefix and are lower case with dashes: `DROP_NO_ENDPOINT` is
    `no-endpoint`. The last entry, which only counts the others, is left out.
    """
    enums: dict[str, dict[int, str]] = {}
    for enum, body in _ENUM.findall(header):
        entries = [(name, int(number)) for name, number in _ENTRY.findall(body)]
        names = {number: name for name, number in entries[:-1]}
        enums[enum] = {
            number: name.split("_", 1)[1].lower().replace("_", "-")
            for number, name in names.items()
        }
    return enums


@lru_cache(maxsize=1)
def enums() -> dict[str, dict[int, str]]:
    """The enums of bpf/hostroute.h: `program`, `verdict`, `drop_reason`, `fib_result`, ….

    Raises:
        BuildError: The header is not there.
    """
    header = BPF_DIR / "hostroute.h"
    try:
        return parse_enums(header.read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(
            f"the BPF sources are missing ({error})", "run from a checkout of the project"
        ) from None
