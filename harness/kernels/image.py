# SPDX-License-Identifier: Apache-2.0
"""Images of files, ext4 for virtio-blk: a guest reads them as fast as its memory. Floor 7."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import GuestError
from harness.kernels import files
from harness.kernels.lock import make_directory, open_lock
from harness.kernels.tools import run
from harness.signals import interruptible

_BLOCK = 4096
_SLACK = 32 << 20  # bytes for ext4's own tables
_DEADLINE = 600.0
_KEPT = 3  # images of other environments that stay


def digest(paths: Iterable[Path]) -> str:
    """What tells one state of these files from another: names, sizes, times."""
    lines = []
    for path in paths:
        with suppress(OSError):
            known = path.lstat()
            lines.append(f"{path}\0{known.st_mode}\0{known.st_size}\0{known.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:20]


def build(paths: Iterable[Path], image: Path, moved: Mapping[Path, Path] | None = None) -> None:
    """Make an image that holds files at their own paths.

    Args:
        paths: Files, links and directories without their contents; what has gone meanwhile, and
            what is no file, is left out.
        image: The file to make.
        moved: Path in the image → the file that is put there.

    Raises:
        GuestError: There is no room for it.
    """
    stage = Path(tempfile.mkdtemp(prefix=f".stage-{image.name}-", dir=image.parent))
    try:
        placed = {path: path for path in paths} | dict(moved or {})
        size = sum(_place(source, path, stage) for path, source in placed.items())
        inodes = sum(1 for _ in files.walk(stage)) + 64
        # A quarter more: block lists of large files, and directories.
        room = int(size * 1.02) + inodes * 512 + _SLACK
        run(["mkfs.ext4", "-q", "-F", "-d", str(stage), "-m", "0", "-N", str(inodes),
             "-b", str(_BLOCK), "-O", "^has_journal,^resize_inode",
             str(image), f"{-(-room // 1024)}k"], _DEADLINE)  # fmt: skip
    except OSError as error:
        raise GuestError(
            f"the image {image} cannot be made ({error.strerror})",
            "make room there, or set XDG_CACHE_HOME",
        ) from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _place(source: Path, path: Path, stage: Path) -> int:
    """Put one file where the image shall have it; returns the bytes it takes."""
    target = stage / path.relative_to("/")
    try:
        known = source.lstat()
        _make_parents(path, stage)
        if stat.S_ISLNK(known.st_mode):
            if not target.is_symlink():
                target.symlink_to(source.readlink())
            return 0
        if stat.S_ISDIR(known.st_mode):
            target.mkdir(exist_ok=True)
            shutil.copystat(source, target)
            return _BLOCK
        if not stat.S_ISREG(known.st_mode) or target.exists():
            return 0
        # A hard link would change the file that is linked to.
        shutil.copy2(source, target, follow_symlinks=False)
    except (FileNotFoundError, PermissionError):
        return 0
    return -(-known.st_size // _BLOCK) * _BLOCK


def _make_parents(path: Path, stage: Path) -> None:
    """The directories above, with the modes they have: the image is laid over the host's root."""
    for above in reversed(path.parents[:-1]):
        target = stage / above.relative_to("/")
        if not target.exists():
            target.mkdir()
            if above.exists():
                shutil.copystat(above, target)


class Images:
    """The cache of images of the host's files.

    Attributes:
        root: Made when the first image is.
        bytecode: Where the bytecode of checkouts is kept, below PYTHONPYCACHEPREFIX's tree.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bytecode = root / "bytecode"

    @contextmanager
    def of_host(self) -> Iterator[Path]:
        """The image of what guests read most, made if the host has changed; kept for the block.

        Raises:
            GuestError: It cannot be made.
        """
        paths = list(files.with_links(files.needed()))
        name = digest(paths)
        try:
            make_directory(self.root)
            fd = open_lock(self.root / f".lock-{name}")
        except OSError as error:
            raise GuestError(f"the cache {self.root} cannot be written ({error.strerror})",
                             "set XDG_CACHE_HOME to a directory that can") from None  # fmt: skip
        image = self.root / f"{name}.ext4"
        try:
            with interruptible():
                fcntl.flock(fd, fcntl.LOCK_SH)
            while not image.exists():
                self._make(paths, image, fd)
            os.utime(image)  # the least recently used go first
            yield image
        finally:
            os.close(fd)

    def _make(self, paths: list[Path], image: Path, lock: int) -> None:
        """Make an image unless another process does; the lock is shared again afterwards."""
        with interruptible():
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.exists():
            self.prune(_KEPT - 1)
            draft = self.root / f".partial-{image.name}"
            build(paths, draft)
            draft.rename(image)
        fcntl.flock(lock, fcntl.LOCK_SH)

    def prune(self, keep: int = 0) -> list[str]:
        """Remove all images but the newest, and what a killed build left; returns their names.

        Those that a guest uses stay.
        """
        found = list(self.root.glob("*.ext4"))  # what a killed build left too, .partial-…
        found.sort(key=lambda path: (path.name[0] != ".", path.stat().st_mtime))
        removed = []
        for path in found[: max(0, len(found) - keep)]:
            name = path.stem.removeprefix(".partial-")
            fd = open_lock(self.root / f".lock-{name}")
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
                removed.append(path.name)
            except BlockingIOError:
                pass
            finally:
                os.close(fd)
        for stage in self.root.glob(".stage-*"):
            self._reap(stage)
        if not keep:
            shutil.rmtree(self.bytecode, ignore_errors=True)
        return removed

    def _reap(self, stage: Path) -> None:
        """A stage is in use while the lock of its image is held."""
        name = stage.name.removeprefix(".stage-.partial-").split(".", 1)[0]
        fd = open_lock(self.root / f".lock-{name}")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(stage, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)
