# SPDX-License-Identifier: Apache-2.0
"""A kernel that can be booted: its image, its modules, where it came from. Floor 7."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness import safe_read
from harness.errors import KernelSourceError

#: Where Debian's packages put the image: before 6.19 below /boot, from then on with the modules.
IMAGES = ("boot/vmlinuz-{release}", "usr/lib/modules/{release}/vmlinuz",
          "lib/modules/{release}/vmlinuz")  # fmt: skip
_LARGEST = 1 << 30  # bytes of an image; a vmlinux with its symbols may have half of it
_RELEASE = re.compile(r"\d+\.\d+\S*")


@dataclass(frozen=True)
class Kernel:
    """A kernel.

    Attributes:
        asked: What the user called it.
        release: As `uname -r` will say it.
        version: Upstream's, for the head of a column: 5.10.262 of 5.10.0-46-amd64.
        image: Its bzImage or vmlinuz.
        root: The directory that has lib/modules/<release>; None: it has no modules.
        origin: Where it came from, in words.
    """

    asked: str
    release: str
    version: str
    image: Path
    root: Path | None
    origin: str

    @property
    def modules(self) -> Path | None:
        """The directory of its modules."""
        return None if self.root is None else modules_below(self.root, self.release)


def is_there(path: Path, directory: bool = False) -> bool:
    """Whether there is a file, or a directory; no, where its name is too long to be one."""
    try:
        return path.is_dir() if directory else path.is_file()
    except OSError:
        return False


def modules_below(root: Path, release: str) -> Path | None:
    """lib/modules/<release> below a directory, also where it is below usr."""
    for name in ("lib", "usr/lib"):
        path = root / name / "modules" / release
        if is_there(path, directory=True):
            return path
    return None


def find_image(root: Path, release: str) -> Path | None:
    """The kernel image of an unpacked or installed package."""
    for pattern in IMAGES:
        path = root / pattern.format(release=release)
        if is_there(path):
            return path
    return None


def release_of(image: Path) -> str:
    """The release that an image says it is.

    A bzImage has it in its header (Documentation/arch/x86/boot.rst, kernel_version); in other
    images it is looked for as the banner has it.

    Raises:
        KernelSourceError: It cannot be read, or is no kernel.
    """
    try:
        data = safe_read.read(image, _LARGEST, follow=True)
    except OSError as error:
        raise KernelSourceError(
            f"the kernel image {image} cannot be read ({error.strerror})"
        ) from None
    if data[0x202:0x206] == b"HdrS":
        offset = int.from_bytes(data[0x20E:0x210], "little")  # 0 where the file is cut off
        said = data[offset + 0x200 :][:128].split(b"\0", 1)[0]
    else:
        found = re.search(rb"Linux version (\S{3,64}) \(", data)
        said = found[1] if found else b""
    release = _RELEASE.match(said.decode("ascii", "replace"))
    # Directories are called after it.
    if release is None or "/" in release[0] or not release[0].isprintable():
        raise KernelSourceError(
            f"{image} is no kernel image that says its release", "name a bzImage or a vmlinuz"
        )
    return release[0]
