# SPDX-License-Identifier: Apache-2.0
"""The cache of kernels: each appears whole or not at all, and is checked when it is used. Floor 7.

A kernel is added under its release's lock (flock(2), which the kernel drops with its holder) in
a directory that becomes the cache's by rename(2). Two who fetch the same one take turns, and the
second finds it there; what a killed one left is removed by the next who holds the lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import KernelSourceError
from harness.kernels.kernel import Kernel, find_image, is_there
from harness.kernels.lock import locked, unwritable

_PARTIAL = ".partial-"
_MANIFEST = "manifest.json"
_FORMAT = ("hostroute-kernel", 1)


@dataclass(frozen=True)
class Kept:
    """A kernel in the cache.

    Attributes:
        release: Its release.
        version: Upstream's version, as in 6.12.117.
        directory: Where it is; packages are unpacked there.
        packages: Package → version.
        files: File, relative to the directory → SHA-256.
    """

    release: str
    version: str
    directory: Path
    packages: dict[str, str]
    files: dict[str, str]

    def kernel(self, asked: str) -> Kernel:
        """It, ready to be booted.

        Raises:
            KernelSourceError: Not every file is what was unpacked.
        """
        self.verify()
        image = find_image(self.directory, self.release)
        if image is None:
            raise self._damaged("it has no image")
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return Kernel(asked, self.release, self.version, image, self.directory, packages)

    def verify(self) -> None:
        """Compare every file with its checksum: half a second.

        Raises:
            KernelSourceError: One differs, or is gone.
        """
        for path in self.files:
            try:
                found = _sha256(self.directory / path)
            except OSError as error:
                raise self._damaged(f"{path}: {error.strerror}") from None
            if found != self.files.get(path):
                raise self._damaged(f"{path} has another checksum")

    def size(self) -> int:
        """Bytes on disk; a file that is gone has none."""
        paths = (self.directory / path for path in self.files)
        return sum(path.stat().st_size for path in paths if is_there(path))

    def _damaged(self, how: str) -> KernelSourceError:
        return KernelSourceError(
            f"the cached kernel {self.release} is damaged ({how})",
            f"run `hostroute kernels prune {self.release}`, then fetch it again",
        )


class Store:
    """The directory of cached kernels.

    Attributes:
        root: Made when the first one is added.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def kept(self) -> list[Kept]:
        """Every kernel that is whole, in no order."""
        found = (self._read(path) for path in self.root.glob(f"*/{_MANIFEST}"))
        return [kept for kept in found if kept is not None]

    def get(self, release: str) -> Kept | None:
        """The kernel of that release, if it is there."""
        return self._read(self.root / release / _MANIFEST)

    @staticmethod
    def _read(path: Path) -> Kept | None:
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            if (table["format"], table["format_version"]) != _FORMAT:
                return None
            if table["release"] != path.parent.name:  # what is removed is what it is called
                return None
            return Kept(table["release"], table["version"], path.parent,
                        table["packages"], table["files"])  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def adding(self, release: str) -> Iterator[Path | None]:
        """A directory to unpack into, which `publish` makes the kernel's; gone after the block.

        Yields:
            None if the kernel is there by now: another process added it meanwhile.

        Raises:
            KernelSourceError: The cache cannot be written, in the block either.
        """
        prefix = f"{_PARTIAL}{release}-"
        with locked(self.root / release):
            for leftover in self.root.glob(f"{prefix}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            if self.get(release) is not None:
                yield None
                return
            partial = None
            try:
                partial = Path(tempfile.mkdtemp(prefix=prefix, dir=self.root))
                yield partial
            except OSError as error:
                raise unwritable(self.root, error) from None
            finally:
                if partial is not None:
                    shutil.rmtree(partial, ignore_errors=True)

    def publish(self, partial: Path, release: str, version: str, packages: dict[str, str]) -> None:
        """Make a directory of `adding` the kernel of that release."""
        files = {
            str(path.relative_to(partial)): _sha256(path)
            for path in sorted(partial.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }
        table = {
            "format": _FORMAT[0], "format_version": _FORMAT[1], "release": release,
            "version": version, "packages": packages, "files": files,
        }  # fmt: skip
        _write_durably(partial / _MANIFEST, table)
        partial.chmod(0o755)
        target = self.root / release
        if target.exists():  # without a manifest that can be read: `adding` has looked
            shutil.rmtree(target)
        partial.rename(target)

    @contextmanager
    def using(self, release: str) -> Iterator[None]:
        """While the block runs, `remove` leaves the kernel alone."""
        with locked(self.root / release, fcntl.LOCK_SH):
            yield

    def remove(self, release: str) -> bool:
        """Remove a kernel; False: a guest runs it."""
        try:
            with locked(self.root / release, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(self.root / release, ignore_errors=True)
        except BlockingIOError:
            return False
        return True

    def remove_partial(self) -> list[str]:
        """Remove what killed fetches left, none that is being fetched; returns their names."""
        removed = []
        for path in self.root.glob(f"{_PARTIAL}*"):
            release = path.name.removeprefix(_PARTIAL).rpartition("-")[0]
            with (
                suppress(BlockingIOError),
                locked(self.root / release, fcntl.LOCK_EX | fcntl.LOCK_NB),
            ):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path.name)
        return removed


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_durably(path: Path, table: dict[str, Any]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(table, file)
        file.flush()
        os.fsync(file.fileno())
