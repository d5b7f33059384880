# SPDX-License-Identifier: Apache-2.0
"""The programs that only other kernels need, and where caches are. Floor 7."""

from __future__ import annotations

import importlib.util
import os
import platform
import stat
import sys
from pathlib import Path

from harness import process
from harness.errors import KernelSourceError, MissingToolError
from harness.safe_path import is_ours, open_directory

#: Program → the Debian package that holds it. `process.TOOLS` lists what every testbed needs.
TOOLS: dict[str, str] = {
    "apt-cache": "apt",
    "apt-config": "apt",
    "apt-get": "apt",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "dpkg": "dpkg",
    "dpkg-deb": "dpkg",
    "file": "file",
    "mkfs.ext4": "e2fsprogs",
    "modprobe": "kmod",
}

#: platform.machine() → QEMU's program and the package that holds it.
_QEMU = {
    "x86_64": ("qemu-system-x86_64", "qemu-system-x86"),
    "aarch64": ("qemu-system-aarch64", "qemu-system-arm"),
}


_OWN = "set XDG_CACHE_HOME to a directory of your own"


def find_tool(name: str) -> str:
    """The path of a program.

    Raises:
        MissingToolError: It is not installed, and which package holds it.
    """
    try:
        return process.find_tool(name)
    except MissingToolError as error:
        if name not in TOOLS:
            raise
        raise MissingToolError(error.what, f"run `apt-get install {TOOLS[name]}`") from None


def run(argv: list[str], timeout: float = 60.0, **environment: str) -> str:
    """Run a program to its end, as `process.run`, with variables added to its environment.

    It is named by its path: env(1) would look on PATH only, which may be without sbin.
    """
    found = [find_tool(argv[0]), *argv[1:]]
    variables = [f"{name}={value}" for name, value in {"LC_ALL": "C", **environment}.items()]
    return process.run(["env", *variables, *found], timeout=timeout)


def qemu() -> str:
    """QEMU for this machine's architecture.

    Raises:
        MissingToolError: It is not installed.
    """
    name, package = _QEMU.get(platform.machine(), (f"qemu-system-{platform.machine()}", "qemu"))
    try:
        return process.find_tool(name)
    except MissingToolError:
        raise MissingToolError(
            f"QEMU is not installed (no {name})",
            f"run `apt-get install --no-install-recommends {package}`",
        ) from None


def virtme_run() -> list[str]:
    """The command of virtme-ng's `virtme-run`.

    Raises:
        MissingToolError: virtme-ng is not installed.
    """
    if importlib.util.find_spec("virtme") is not None:
        # -P keeps the working directory off its module path.
        return [sys.executable, "-P", "-m", "virtme.commands.run"]
    try:
        return [process.find_tool("virtme-run")]
    except MissingToolError:
        raise MissingToolError(
            "vng is not installed", f"run `{sys.executable} -m pip install virtme-ng`"
        ) from None


def cache_root() -> Path:
    """Where kernels and images are kept: $XDG_CACHE_HOME/hostroute.

    Raises:
        KernelSourceError: Neither that nor a home directory is known; or another user may change
            what is there, and so what we boot and what Python imports.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    try:
        root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    except RuntimeError:
        raise KernelSourceError(
            "where to keep kernels is not known: this user has no home directory",
            "set XDG_CACHE_HOME",
        ) from None
    _check_own(root / "hostroute")
    return root / "hostroute"


def _check_own(cache: Path) -> None:
    try:
        handle = open_directory(cache)
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise KernelSourceError(
            f"the cache {cache} cannot be used ({error.strerror})", _OWN
        ) from None
    except OSError:  # who writes there says what is wrong
        return
    found = os.fstat(handle)
    os.close(handle)
    if not is_ours(found.st_uid):
        why = f"it belongs to user {found.st_uid}"
    elif found.st_mode & stat.S_IWOTH:
        why = "everybody may write there"
    elif found.st_mode & stat.S_IWGRP and found.st_gid not in (0, os.getegid()):
        why = f"group {found.st_gid} may write there"
    else:
        return
    raise KernelSourceError(f"the cache {cache} cannot be used ({why})", _OWN)
