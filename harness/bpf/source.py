# SPDX-License-Identifier: Apache-2.0
"""What a program is built from: parts of bpf/, defines, and patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.bpf.contract import BPF_DIR
from harness.plumbing.errors import BuildError


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
                texts[part] = (BPF_DIR / part).read_text(encoding="utf-8")
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


def source_files() -> list[Path]:
    """Every C file of bpf/, for records and checks."""
    return sorted(path for path in BPF_DIR.rglob("*") if path.suffix in {".c", ".h"})
