# SPDX-License-Identifier: Apache-2.0
"""Which of the modules that a guest needs a kernel has. Floor 7."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import KernelError, KernelSourceError
from harness.kernels.catalogue import catalogue
from harness.kernels.kernel import Kernel


def _names(path: Path) -> set[str] | None:
    """Modules that a file of depmod's lists, as modprobe knows them; None: there is no file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.findall(r"([^/\s:]+)\.ko(?:\.\w+)?(?=:|$)", text, re.M)
    return {name.replace("-", "_") for name in found}


def available(kernel: Kernel) -> set[str] | None:
    """Every module of a kernel, built-in ones too; None: it does not say.

    Raises:
        KernelSourceError: depmod has not listed its modules.
    """
    directory = kernel.modules
    if directory is None:
        return None
    loadable = _names(directory / "modules.dep")
    if loadable is None:
        raise KernelSourceError(
            f"the modules in {directory} are not listed (no modules.dep)",
            f"run `depmod -b {directory.parents[2]} {kernel.release}`",
        )
    builtin = _names(directory / "modules.builtin")
    return None if builtin is None else loadable | builtin


def missing(kernel: Kernel, *groups: str) -> list[str]:
    """What the kernel lacks of these groups of the catalogue, each with its option."""
    present = available(kernel)
    if present is None:
        return []
    return [
        f"{name} ({option})"
        for group in groups
        for name, option in catalogue().modules[group].items()
        if name.replace("-", "_") not in present
    ]


def check(kernel: Kernel) -> None:
    """Refuse a kernel on which no guest would come up, or no testbed.

    Raises:
        KernelError: A module is missing, and which. A kernel that does not say what it has
            passes; its guest says what is missing.
    """
    lacking = missing(kernel, "boot", "testbed")
    if lacking:
        raise KernelError(
            f"the kernel {kernel.release} has no module {', '.join(lacking)}",
            "enable it, or name another kernel",
        )
