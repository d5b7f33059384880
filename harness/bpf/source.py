# SPDX-License-Identifier: Apache-2.0
"""What a program is built from: parts of bpf/, defines, and patches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.bpf.contract import BPF_DIR
from harness.plumbing.errors import BuildError

_EACH_FAMILY = re.compile(
    r"^/\* EACH FAMILY \*/\n(.*?)^(?=/\* END OF EACH FAMILY \*/$)", re.M | re.S
)
#: The last character of a name that IPv6 has alike, but for this: `flows4`, not `u64`.
_IPV4 = re.compile(r"(?<=[A-Za-z_])4\b")


@dataclass(frozen=True)
class Patch:
    """A named change of the source, for mutated programs.

    Attributes:
        file: A part's name, such as `rewrite.c`.
        old: Text that stands exactly once in that part.
        new: What replaces it.
    """

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Source:
    """A program's source: parts of bpf/ joined in order, its defines and its patches.

    BCC's map methods do not work in an `#include`d header, so parts that use maps are joined
    here; `#line` directives keep file and line of every message right.
    """

    parts: tuple[str, ...]
    defines: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()

    def text(self) -> str:
        """The joined source.

        Raises:
            BuildError: A part is missing, or a patch's old text does not stand exactly once.
        """
        texts: dict[str, str] = {}
        for part in self.parts:
            try:
                texts[part] = read_part(part)
            except OSError as error:
                raise BuildError(f"cannot read the BPF source {part} ({error})") from None
        for patch in self.patches:
            found = texts.get(patch.file, "").count(patch.old)
            if found != 1:
                raise BuildError(
                    f"a patch of bpf/{patch.file} does not apply: its text stands {found} times",
                    f"look for {patch.old.strip().splitlines()[0]!r}",
                )
            texts[patch.file] = texts[patch.file].replace(patch.old, patch.new)
        return "".join(f'# 1 "bpf/{part}"\n{text}\n' for part, text in texts.items())


def read_part(part: str) -> str:
    """The text of a part, as a patch finds it.

    What stands in the file between EACH FAMILY and its end is IPv4's; here IPv6's follows, which is
    the same with 6 for the 4 that names end in. BCC knows neither templates nor map methods in
    macros. Directives keep the file's own line numbers.

    Raises:
        OSError: There is no such part.
    """
    text = (BPF_DIR / part).read_text(encoding="utf-8")

    def both(found: re.Match[str]) -> str:
        first, after = (text.count("\n", 0, at) + 1 for at in found.span(1))
        ipv6 = _IPV4.sub("6", found[1])
        return f'{found[0]}# {first} "bpf/{part}"\n{ipv6}# {after} "bpf/{part}"\n'

    return _EACH_FAMILY.sub(both, text)


def source_files() -> list[Path]:
    """Every C file of bpf/, for records and checks."""
    return sorted(path for path in BPF_DIR.rglob("*") if path.suffix in {".c", ".h"})
