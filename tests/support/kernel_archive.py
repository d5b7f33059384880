# SPDX-License-Identifier: Apache-2.0
"""What the tests of fetching and finding kernels share: a mirror that builds what is asked for."""

import re
import struct
import subprocess
import time

from harness.kernels.fetch import Fetcher, flavour, release_of_package
from harness.kernels.mirror import Package

RELEASE = f"6.12.9-{flavour()}"


def package(name, version, *needs):
    return Package(name, version, 1000, needs)


class Archive:
    """A mirror that is a directory: packages are built when they are downloaded."""

    def __init__(self, packages, files, delay=0.0):
        self.refused = []
        self.list, self.files, self.delay, self.downloads = packages, files, delay, 0

    def packages(self, pattern, _=False):
        return [entry for entry in self.list if re.fullmatch(pattern, entry.name)]

    def absent(self):
        return ["bullseye-backports"]

    def download(self, packages, directory):
        self.downloads += 1
        time.sleep(self.delay)
        debs = []
        for entry in packages:
            tree = directory / f"build-{entry.name}"
            for path, data in {"DEBIAN/control": control(entry), **self.files(entry)}.items():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_bytes(data)
            debs.append(directory / f"{entry.name}.deb")
            subprocess.run(["dpkg-deb", "--build", "-Znone", "--root-owner-group", tree, debs[-1]],
                           check=True, capture_output=True)  # fmt: skip
        return debs


def control(entry):
    return (
        f"Package: {entry.name}\nVersion: {entry.version}\nArchitecture: all\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: a test\n"
    ).encode()


def image(release):
    """The head of a bzImage."""
    data = bytearray(0x400)
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x100)
    return bytes(data[:0x300]) + f"{release} (builder@host) #1 SMP\0".encode() + bytes(64)


def one_package(entry):
    release = release_of_package(entry.name)
    return {
        f"boot/vmlinuz-{release}": image(release),
        f"lib/modules/{release}/modules.order": b"kernel/drivers/net/veth.ko\n",
        f"lib/modules/{release}/modules.builtin": b"kernel/fs/ext4/ext4.ko\n",
        f"lib/modules/{release}/kernel/drivers/net/veth.ko": b"no real module",
        "usr/share/doc/x/copyright": b"text",
    }


def split(entry):
    release = "7.3.4+deb13-" + flavour()
    if entry.name.startswith("linux-binary"):
        return {f"usr/lib/modules/{release}/vmlinuz": image(release)}
    if entry.name.startswith("linux-modules"):
        return {f"usr/lib/modules/{release}/kernel/drivers/net/veth.ko": b"no real module",
                f"usr/lib/modules/{release}/modules.builtin": b""}  # fmt: skip
    return {"usr/share/doc/x/copyright": b"text"}


def fetcher(store, archive=None, say=lambda _: None):
    name = f"linux-image-{RELEASE}"
    return Fetcher(store, archive or Archive([package(name, "6.12.9-1")], one_package), say)
