# SPDX-License-Identifier: Apache-2.0
"""From a version prefix to an unpacked kernel in the cache."""

from __future__ import annotations

import functools
import platform
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from harness.kernels.kernel import find_image, modules_below
from harness.kernels.mirror import Mirror, Package
from harness.kernels.store import Kept, Store
from harness.kernels.tools import run
from harness.plumbing.errors import CommandError, KernelSourceError

_ROOM = 6  # unpacked modules and the packages they came in, times the packages' size
_UNPACKED = ("boot", "lib/modules", "usr/lib/modules")
_DEADLINE = 600.0
#: platform.machine() → the name of Debian's kernel flavour without an adjective.
_FLAVOURS = {"x86_64": "amd64", "aarch64": "arm64"}

Say = Callable[[str], None]


def flavour() -> str:
    """Debian's kernel flavour for this machine."""
    return _FLAVOURS.get(platform.machine(), platform.machine())


def upstream(version: str) -> str:
    """6.12.117 of Debian's 6.12.117-1~bpo12+1."""
    found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return found[1] if found else ""


def matches(asked: str, release: str, version: str) -> bool:
    """Whether a kernel is meant by a prefix of its version, or by its whole release.

    Whole numbers count: 6.1 means 6.1.192, and does not mean 6.12.117.
    """
    return asked == release or f"{version}.".startswith(f"{asked.rstrip('.')}.")


def numbers(version: str) -> tuple[int, ...]:
    """A version to sort by."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def release_of_package(name: str) -> str:
    """The release of a kernel package's name; empty: it is none of this machine's flavour.

    Not meant: packages that only depend on the newest kernel (linux-image-6.12-amd64), and the
    flavours rt and cloud, which has no 9p.
    """
    found = re.fullmatch(rf"linux-image-(\d+\.\d+\.\d+\S*-{flavour()})", name)
    return "" if found is None or re.search(r"-(rt|cloud)-", name) else found[1]


def choose(packages: list[Package], asked: str) -> Package | None:
    """The newest kernel package of those that are meant; None: none is."""
    meant = [
        package
        for package in packages
        if (release := release_of_package(package.name))
        and matches(asked, release, upstream(package.version))
    ]
    return max(meant, key=functools.cmp_to_key(_compare), default=None)


def _compare(one: Package, other: Package) -> int:
    """Upstream's version first; among packages of one version, Debian's order."""
    first, second = numbers(upstream(one.version)), numbers(upstream(other.version))
    if first != second:
        return 1 if first > second else -1
    if one.version == other.version:
        return 1 if one.name > other.name else -1
    return 1 if _newer(one.version, other.version) else -1


def _newer(version: str, than: str) -> bool:
    try:
        run(["dpkg", "--compare-versions", version, "gt", than])
    except CommandError:
        return False
    return True


class Fetcher:
    """Gets kernels from the mirror into the cache.

    Attributes:
        store: The cache.
        mirror: Where they come from.
    """

    def __init__(self, store: Store, mirror: Mirror, say: Say) -> None:
        """As given; `say` takes lines about what takes long."""
        self.store, self.mirror, self._say = store, mirror, say
        self._images: list[Package] = []

    def images(self, refresh: bool = False) -> list[Package]:
        """Every kernel package the mirror has for this machine."""
        if not self._images or refresh:
            found = self.mirror.packages(rf"linux-image-\d\S*-{flavour()}", refresh)
            self._images = [package for package in found if release_of_package(package.name)]
        return self._images

    def newest(self, asked: str, refresh: bool = False) -> Package:
        """The package that a version prefix means.

        Raises:
            KernelSourceError: There is none.
        """
        if not re.fullmatch(r"\d+(\.\d+)*\.?|\d+\.\d+\.\d+\S*", asked):
            raise KernelSourceError(
                f"{asked!r} is no kernel", "use a version (6.12), a path, installed:… or vng:…"
            )
        found = choose(self.images(refresh), asked)
        if found is None:
            raise self._unknown(asked)
        return found

    def _unknown(self, asked: str) -> KernelSourceError:
        versions = {".".join(upstream(p.version).split(".")[:2]) for p in self._images}
        known = ", ".join(sorted(versions, key=numbers)) or "none at all"
        absent = ", ".join(self.mirror.absent())
        lacking = f"; these suites are not there: {absent}" if absent else ""
        refused = "".join(f"; {line}" for line in self.mirror.refused)
        return KernelSourceError(
            f"the mirror has no kernel {asked}{refused}", f"it has {known}{lacking}"
        )

    def fetch(self, asked: str, refresh: bool = False) -> Kept:
        """The newest kernel that a version prefix means, fetched unless it is in the cache.

        Raises:
            KernelSourceError: It cannot be had, and why.
        """
        image = self.newest(asked, refresh)
        release = release_of_package(image.name)
        kept = self.store.get(release)
        if kept is not None:
            return kept
        with self.store.adding(release) as partial:
            if partial is not None:
                self._add(image, release, partial)
        kept = self.store.get(release)
        if kept is None:
            raise KernelSourceError(f"the kernel {release} is not in the cache after all",
                                    "was it pruned meanwhile?")  # fmt: skip
        return kept

    def _add(self, image: Package, release: str, partial: Path) -> None:
        packages = self._parts(image, release)
        size = sum(package.size for package in packages)
        self._say(f"fetching {release}: {size / 1e6:.0f} MB in {len(packages)} package(s)")
        free = shutil.disk_usage(partial).free
        if free < _ROOM * size:
            raise KernelSourceError(
                f"no room for {release} in {self.store.root}: {free / 1e6:.0f} MB are free,"
                f" {_ROOM * size / 1e6:.0f} MB are needed",
                "make room with `hostroute kernels prune`, or set XDG_CACHE_HOME",
            )
        tree = partial / "tree"
        debs = self.mirror.download(packages, partial)
        if len(debs) != len(packages):
            raise KernelSourceError(f"{len(packages)} packages were to be fetched for {release},"
                                    f" {len(debs)} came")  # fmt: skip
        for deb in debs:
            _unpack(deb, tree)
            deb.unlink()
        _settle(tree, release)
        versions = {package.name: package.version for package in packages}
        self.store.publish(tree, release, upstream(image.version), versions)

    def _parts(self, image: Package, release: str) -> list[Package]:
        """The packages of one kernel: what it depends on that bears its release in its name.

        Up to 6.18 all files are in the image's package; later ones have linux-binary-…,
        linux-modules-… and linux-base-… beside it.
        """
        names = [name for name in image.needs if name.endswith(f"-{release}")]
        if not names:
            return [image]
        found = self.mirror.packages("|".join(re.escape(name) for name in names))
        return [image, *(p for p in found if p.version == image.version)]


def _unpack(deb: Path, tree: Path) -> None:
    tree.mkdir(exist_ok=True)
    try:
        run(["dpkg-deb", "-x", str(deb), str(tree)], timeout=_DEADLINE)
    except CommandError as error:
        room = "No space left" in error.stderr
        said = error.stderr.strip().splitlines() or ["no reason given"]
        raise KernelSourceError(
            f"{deb.name} cannot be unpacked: {said[-1]}",
            "make room, or set XDG_CACHE_HOME" if room else "fetch it again",
        ) from None


def _settle(tree: Path, release: str) -> None:
    """Leave only what a guest needs, and let depmod list the modules: packages do not."""
    for path in list(tree.iterdir()):
        if not any(part.startswith(path.name) for part in _UNPACKED):
            shutil.rmtree(path)
    shutil.rmtree(tree / "usr" / "share", ignore_errors=True)
    if find_image(tree, release) is None:
        raise KernelSourceError(
            f"the packages of {release} have no kernel image", "name the path of another kernel"
        )
    modules = modules_below(tree, release)
    if modules is None:
        raise KernelSourceError(
            f"the packages of {release} have no modules", "name the path of another kernel"
        )
    run(["depmod", "-b", str(modules.parents[2]), release], timeout=_DEADLINE)
