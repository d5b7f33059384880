# SPDX-License-Identifier: Apache-2.0
"""From what the user calls a kernel to a kernel that can be booted. Floor 7.

| called | means |
|---|---|
| `6.12`, `7`, `6.12.117+deb13-amd64` | Debian's newest of that version: cached, else fetched |
| `/boot/vmlinuz-6.1.0`, `./bzImage:DIR` | that image; modules below DIR, else beside it |
| `installed:6.1.0-56-amd64`, `installed` | an installed kernel; without a release, the newest |
| `vng:v6.14` | what `vng --run v6.14` would boot |
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

from harness.errors import CommandError, KernelSourceError, MissingToolError
from harness.kernels.fetch import Fetcher, matches, numbers
from harness.kernels.kernel import IMAGES, Kernel, find_image, is_there, modules_below, release_of
from harness.kernels.tools import run

_VNG_DEADLINE = 1800.0  # seconds; it downloads

#: Where an image may stand below the directory that has its modules: two levels in boot/, four in
#: lib/modules/RELEASE/, five in usr/lib/modules/RELEASE/.
_LEVELS = 6


def find(asked: str, fetcher: Fetcher, refresh: bool = False) -> Kernel:
    """The kernel that is meant.

    Args:
        asked: See the table above.
        fetcher: Gets Debian's kernels.
        refresh: Whether a newer one than the cached is looked for.

    Raises:
        KernelSourceError: There is none, and why.
    """
    kind, _, rest = asked.partition(":")
    if kind == "installed":
        return installed(rest)
    if kind == "vng":
        return _of_vng(rest)
    if "/" in asked or is_there(Path(asked)) or is_there(Path(kind)):
        return at_path(asked)
    if not refresh:
        cached = [kept for kept in fetcher.store.kept()
                  if matches(asked, kept.release, kept.version)]  # fmt: skip
        if cached:
            newest = max(cached, key=lambda kept: (numbers(kept.version), kept.release))
            return newest.kernel(asked)
    return fetcher.fetch(asked, refresh).kernel(asked)


def at_path(asked: str) -> Kernel:
    """An image at a path, `IMAGE` or `IMAGE:DIRECTORY` with lib/modules/<release> in it."""
    path, colon, directory = asked.partition(":")
    image = _absolute(path)
    if is_there(image, directory=True):
        raise KernelSourceError(
            f"{image} is a directory", "name the image in it, such as arch/x86/boot/bzImage"
        )
    if not is_there(image):
        raise KernelSourceError(f"there is no kernel image {image}", "look at the path")
    release = release_of(image)
    if colon:
        root = _absolute(directory)
        if modules_below(root, release) is None:
            raise KernelSourceError(
                f"{root} has no lib/modules/{release}",
                "`make modules_install INSTALL_MOD_PATH=DIR` puts it there",
            )
        return Kernel(asked, release, release, image, root, "a path")
    return Kernel(asked, release, release, image, _root_of(image, release), "a path")


def _absolute(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:  # ~name
        raise KernelSourceError(f"there is no user for {path}", "look at the path") from None


def _root_of(image: Path, release: str) -> Path | None:
    """The nearest directory above an image that has the image's modules."""
    above = list(image.parents)[:_LEVELS]
    return next((path for path in above if modules_below(path, release) is not None), None)


def installed(release: str, root: Path = Path("/")) -> Kernel:
    """An installed kernel; without a release, the newest."""
    if not release:
        release = max(installed_releases(root), key=numbers, default="")
    image = find_image(root, release) if release else None
    if image is None:
        known = ", ".join(sorted(installed_releases(root), key=numbers)) or "none"
        raise KernelSourceError(
            f"no kernel {release} is installed" if release else "no kernel is installed",
            f"installed are: {known}",
        )
    modules = root if modules_below(root, release) is not None else None
    return Kernel(f"installed:{release}", release, release, image, modules, "installed")


def installed_releases(root: Path = Path("/")) -> list[str]:
    """Releases of the kernels that are installed."""
    found = set()
    for pattern in IMAGES:
        before, after = str(root / pattern).split("{release}")
        for path in root.glob(pattern.format(release="*")):
            found.add(str(path).removeprefix(before).removesuffix(after))
    return sorted(release for release in found if re.match(r"\d+\.\d+", release))


def _of_vng(tag: str) -> Kernel:
    """What virtme-ng would boot, downloaded by it; its own sources, cache and checks apply."""
    if importlib.util.find_spec("virtme_ng") is None:
        raise MissingToolError(
            "vng is not installed", f"run `{sys.executable} -m pip install virtme-ng`"
        )
    program = (
        "import glob, sys; from virtme_ng.mainline import KernelDownloader;"
        " print(max(glob.glob(KernelDownloader(sys.argv[1]).target)))"
    )
    if not re.fullmatch(r"v\d+(\.\d+)*(-rc\d+)?", tag):
        raise KernelSourceError(f"vng has no kernel {tag!r}", "use upstream's, as in v6.14")
    try:
        path = (
            run([sys.executable, "-P", "-c", program, tag], _VNG_DEADLINE).strip().splitlines()[-1]
        )
    except (CommandError, IndexError) as error:
        said = error.stderr.strip().splitlines() if isinstance(error, CommandError) else []
        raise KernelSourceError(
            f"vng cannot get {tag}: {(said or ['no reason given'])[-1]}",
            "does `vng --run` get it?",
        ) from None
    kernel = at_path(path)
    if kernel.modules is not None and not is_there(kernel.modules / "modules.dep"):
        # vng only unpacks the packages, which list no modules.
        run(["depmod", "-b", str(kernel.modules.parents[2]), kernel.release], _VNG_DEADLINE)
    return Kernel(f"vng:{tag}", kernel.release, kernel.release, kernel.image, kernel.root, "vng")
