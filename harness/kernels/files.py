# SPDX-License-Identifier: Apache-2.0
"""What of the host's files a guest reads so much that they must be fast.

Nothing here decides what a guest can do: what is not listed it reads from the host's own root,
over 9p, a page or a name at a time (an import of BCC took 88 seconds that way, 3 from the image).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from harness.bpf.bcc_import import DIST_PACKAGES
from harness.kernels.tools import run
from harness.plumbing.errors import HarnessError
from harness.plumbing.process import TOOLS, find_tool

#: Programs that a guest starts besides those every testbed needs.
_PROGRAMS = (
    "sh", "bash", "busybox", "cat", "chroot", "cp", "dmesg", "env", "git", "grep", "ip", "kmod",
    "ldconfig", "ls", "mkdir", "modprobe", "mount", "mv", "nsenter", "pivot_root", "poweroff", "ps",
    "rm", "setsid", "sleep", "stty", "sync", "tc", "true", "umount", "uname", "unshare",
)  # fmt: skip
#: Libraries that are loaded by name.
_LIBRARIES = ("libbcc.so.0", "libbpf.so.1", "libiperf.so.0", "libnss_files.so.2", "libnss_dns.so.2",
              "libstdc++.so.6", "libgcc_s.so.1", "libgfortran.so.5", "libpcap.so.0.8")  # fmt: skip
_DATA = ("/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/protocols",
         "/etc/services", "/etc/hosts", "/etc/ethertypes", "/etc/modprobe.d", "/etc/localtime",
         "/usr/include/linux", "/usr/include/asm-generic", "/usr/include/asm",
         "/usr/lib/locale/C.utf8")  # fmt: skip
_BESIDE_LIBC = ("xtables", "gconv/gconv-modules.cache")
#: Directories of Python that no test imports from.
_NOT_OF_PYTHON = re.compile(r"/(test|tests|idlelib|ensurepip|tkinter|turtledemo|config-[^/]*)$")
#: What a checkout holds that is not the project's.
_NOT_OF_CHECKOUT = {"__pycache__", ".git", ".tox", ".nox", ".venv", "venv", "node_modules",
                    "results", ".mypy_cache", ".ruff_cache", ".pytest_cache"}  # fmt: skip


def needed() -> list[Path]:
    """Files and directories, of which some may lie within others; directories are meant whole."""
    programs = [Path(path) for path in map(_program, (*TOOLS, *_PROGRAMS)) if path]
    libraries = [path for name in _LIBRARIES for path in _library(name)]
    interpreter = Path(os.path.realpath(sys.executable))
    binaries = {*map(_real, programs), *libraries, interpreter, *_extension_modules()}
    multiarch = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    multiarch /= sysconfig.get_config_var("MULTIARCH") or ""
    own = [*(multiarch / name for name in _BESIDE_LIBC),
           Path("/usr/include") / multiarch.name / "asm"]  # fmt: skip
    return [
        path
        for path in (*programs, *libraries, interpreter, *_shared(binaries), *own,
                     *map(Path, _DATA), *python_trees(), DIST_PACKAGES / "bcc")
        if path.exists()
    ]  # fmt: skip


def python_trees() -> list[Path]:
    """The interpreter's standard library, and the environment it runs in."""
    trees = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"),
             sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]  # fmt: skip
    if sys.prefix != sys.base_prefix:
        trees.append(sys.prefix)
    return [Path(tree) for tree in dict.fromkeys(trees)]


def _program(name: str) -> str:
    with suppress(HarnessError):
        return find_tool(name)
    return ""


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _library(name: str) -> list[Path]:
    """Where the dynamic linker finds a library."""
    found = re.findall(rf"^\s*{re.escape(name)} .*=> (/.*)$", _linker_cache(), re.M)
    return [Path(path) for path in found]


def _linker_cache() -> str:
    with suppress(HarnessError):
        return run(["ldconfig", "-p"])
    return ""


def _extension_modules() -> list[Path]:
    return sorted(Path(sysconfig.get_path("platstdlib")).glob("lib-dynload/*.so"))


def _shared(binaries: Iterable[Path]) -> list[Path]:
    """The libraries that binaries are linked with, by ldd(1)."""
    listed = subprocess.run(
        [find_tool("ldd"), *map(str, binaries)], capture_output=True, text=True, check=False
    ).stdout
    return [Path(path) for path in sorted(set(re.findall(r"(/\S+\.so\S*)", listed)))]


def walk(path: Path, skip: re.Pattern[str] | None = None) -> Iterator[Path]:
    """A file or directory and all below it, links not followed."""
    yield path
    if path.is_symlink() or not path.is_dir():
        return
    with os.scandir(path) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    for entry in inside:
        if entry.is_dir(follow_symlinks=False):
            if skip is None or not skip.search(entry.path):
                yield from walk(Path(entry.path), skip)
        else:
            yield Path(entry.path)


def with_links(paths: Iterable[Path]) -> dict[Path, None]:
    """Everything at and below these paths, and every link on the way to it, in order."""
    found: dict[Path, None] = {}
    for path in paths:
        real = _along(path, found)
        for each in walk(real, _NOT_OF_PYTHON):
            found.setdefault(each)
    return found


def _along(path: Path, found: dict[Path, None]) -> Path:
    """Note the links that lead to a path; returns the path without any."""
    current = Path("/")
    parts = list(path.absolute().parts[1:])
    for _ in range(1000):
        if not parts:
            break
        following = Path(os.path.normpath(current / parts.pop(0)))
        if following.is_symlink():
            found.setdefault(following)
            target = os.path.normpath(current / following.readlink())
            parts = [*Path(target).parts[1:], *parts]
            current = Path("/")
        else:
            current = following
    return current


def bytecode(root: Path, prefix: Path) -> dict[Path, Path]:
    """Where Python looks for the bytecode of a checkout → where PYTHONPYCACHEPREFIX had it put.

    It counts: without, pytest compiles every test module anew, a second each in a guest.
    """
    below = prefix / root.relative_to("/")
    return {
        root / path.parent.relative_to(below) / "__pycache__" / path.name: path
        for path in below.rglob("*.pyc")
    }


def checkout(root: Path) -> list[Path]:
    """The files of a checkout that are the project's."""
    found: list[Path] = []
    for directory, folders, files in os.walk(root):
        folders[:] = sorted(
            name for name in folders
            if name not in _NOT_OF_CHECKOUT and not (Path(directory) / name / "pyvenv.cfg").exists()
        )  # fmt: skip
        found += [Path(directory) / name for name in sorted(files)]
    return found
