# SPDX-License-Identifier: Apache-2.0
"""pytest's arguments, tried on the host before a kernel is booted for them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.plumbing.errors import UnknownNameError

#: Options that cannot work in a guest, and why.
REFUSED: dict[str, str] = {
    "--pause": "a guest has no terminal: use `hostroute kernels shell`",
    "--hr-pause": "a guest has no terminal: use `hostroute kernels shell`",
    "--pdb": "a guest has no terminal: use `hostroute kernels shell`",
    "--trace": "a guest has no terminal: use `hostroute kernels shell`",
    "--junitxml": "every kernel has its own: it is among the results",
    "--junit-xml": "every kernel has its own: it is among the results",
    "--results": "name it before the --: what a guest writes elsewhere is gone with it",
    "--hr-results": "name it before the --: what a guest writes elsewhere is gone with it",
    "--basetemp": "what a guest writes elsewhere is gone with it",
    "--log-file": "what a guest writes elsewhere is gone with it",
    "--benchmark-json": "what a guest writes elsewhere is gone with it",
    "--debug": "what a guest writes elsewhere is gone with it",
}
#: What every run of pytest in a guest has.
ALWAYS = ("-p", "no:cacheprovider", "--hr-record")
_NO_TESTS = 5
_DEADLINE = 180.0
_TELLING = re.compile(r"(?!ERROR: usage)(?:ERROR|Exit: |E  |.*\berror: )")


def command(arguments: Sequence[str]) -> list[str]:
    """The command that runs pytest with these arguments."""
    return [sys.executable, "-m", "pytest", *ALWAYS, *arguments]


def _from_environment() -> list[str]:
    """What pytest takes from its environment, which a guest's has as well."""
    text = os.environ.get("PYTEST_ADDOPTS", "")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UnknownNameError(f"PYTEST_ADDOPTS={text!r} has no end", str(error)) from None


def check(arguments: Sequence[str], directory: Path, bytecode: Path) -> None:
    """Let pytest collect on the host what a guest is to run.

    Args:
        arguments: pytest's.
        directory: Where it is to run.
        bytecode: Where the bytecode of what it imports goes, which spares every guest compiling.

    Raises:
        UnknownNameError: An option cannot work in a guest, or pytest does not know it, or no test
            is selected.
    """
    for argument in (*_from_environment(), *arguments):
        name = argument.partition("=")[0]
        if name in REFUSED:
            raise UnknownNameError(f"{name} cannot work in a guest", REFUSED[name])
    try:
        ended = subprocess.run(
            [*command(arguments), "--collect-only", "-q"], cwd=directory, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bytecode)},
            capture_output=True, text=True, timeout=_DEADLINE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UnknownNameError(f"pytest does not collect within {_DEADLINE:g} s here") from None
    if ended.returncode == 0:
        return
    shown = " ".join(arguments) or "no arguments"
    if ended.returncode == _NO_TESTS:
        raise UnknownNameError(f"pytest selects no test with {shown}", "look at -m and -k")
    lines = [line for line in (ended.stderr + ended.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.match(line)]
    said = (telling or lines or ["no reason given"])[0].removeprefix("ERROR: ").strip()
    raise UnknownNameError(f"pytest refuses {shown}", said.removeprefix("Exit: hostroute: "))
