# SPDX-License-Identifier: Apache-2.0
"""Kernels at a path, installed, or of virtme-ng."""

import sys

import pytest

from harness.errors import KernelSourceError, MissingToolError
from harness.kernels.find import at_path, find, installed
from harness.kernels.kernel import release_of
from tests.kernel_archive import fetcher, image


@pytest.fixture
def machine(tmp_path):
    """An installed kernel below a root of its own."""
    root = tmp_path / "root"
    (root / "boot").mkdir(parents=True)
    (root / "boot" / "vmlinuz-6.1.0-1").write_bytes(image("6.1.0-1"))
    (root / "boot" / "vmlinuz-5.10.0-3").write_bytes(image("5.10.0-3"))
    (root / "lib" / "modules" / "6.1.0-1").mkdir(parents=True)
    return root


def test_an_installed_kernel(machine):
    newest = installed("", machine)
    assert (newest.release, newest.root) == ("6.1.0-1", machine)
    assert installed("5.10.0-3", machine).root is None
    with pytest.raises(
        KernelSourceError, match=r"no kernel 4.19 is installed: .* 5.10.0-3, 6.1.0-1"
    ):
        installed("4.19", machine)


def test_an_image_at_a_path(machine, store):
    path = machine / "boot" / "vmlinuz-6.1.0-1"
    kernel = find(str(path), fetcher(store))
    assert (kernel.release, kernel.image, kernel.root) == ("6.1.0-1", path, machine)
    assert at_path(f"{path}:{machine}").root == machine
    with pytest.raises(
        KernelSourceError, match=r"has no lib/modules/6.1.0-1: `make modules_install"
    ):
        at_path(f"{path}:{machine / 'boot'}")


@pytest.mark.parametrize(
    ("path", "words"),
    [("boot", "is a directory: name the image"), ("boot/none", "there is no kernel image"),
     ("text", "is no kernel image that says its release")],
)  # fmt: skip
def test_what_is_no_image(machine, path, words):
    (machine / "text").write_text("hello")
    with pytest.raises(KernelSourceError, match=words):
        at_path(str(machine / path))


@pytest.mark.parametrize(
    ("asked", "words"),
    [("~nosuchuser/bzImage", "there is no user for ~nosuchuser/bzImage"),
     ("x" * 300, "is no kernel: use a version"), ("installed:" + "x" * 300, "is installed"),
     ("/" + "x" * 300, "there is no kernel image")],
)  # fmt: skip
def test_names_that_no_file_can_have(store, asked, words):
    with pytest.raises(KernelSourceError, match=words):
        find(asked, fetcher(store))


def test_an_image_that_is_cut_off_after_its_mark(tmp_path):
    path = tmp_path / "bzImage"
    path.write_bytes(image("6.1.0")[:0x206])
    with pytest.raises(KernelSourceError, match="is no kernel image that says its release"):
        release_of(path)


@pytest.mark.parametrize("said", ["6.1/../../../out", "6.1\x1b[2J", "6.1-\x7f"])
def test_an_image_whose_release_no_directory_can_have(tmp_path, said):
    path = tmp_path / "bzImage"
    path.write_bytes(image(said))
    with pytest.raises(KernelSourceError, match="is no kernel image that says its release"):
        release_of(path)


def test_an_image_beside_us_and_where_its_modules_are(machine, store, monkeypatch):
    monkeypatch.chdir(machine / "boot")
    kernel = find(f"vmlinuz-6.1.0-1:{machine}", fetcher(store))
    assert (kernel.release, kernel.root) == ("6.1.0-1", machine)
    (machine / "boot" / "lib").symlink_to(machine / "lib")
    (machine / "boot" / "modules").symlink_to(machine)
    assert find("vmlinuz-6.1.0-1:modules", fetcher(store)).release == "6.1.0-1"


def test_modules_of_vngs_kernels_are_listed(machine, store, monkeypatch):
    path = machine / "boot" / "vmlinuz-6.1.0-1"
    ran = []

    def run(argv, *_):
        ran.append(argv)
        return f"downloading\n{path}\n"

    finding = sys.modules[find.__module__]
    monkeypatch.setattr(finding.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(finding, "run", run)
    kernel = find("vng:v6.1", fetcher(store))
    assert (kernel.origin, kernel.root) == ("vng", machine)
    assert ran[1] == ["depmod", "-b", str(machine), "6.1.0-1"]
    (kernel.modules / "modules.dep").touch()
    find("vng:v6.1", fetcher(store))
    assert len(ran) == 3


def test_the_release_of_an_image_without_a_header(tmp_path):
    path = tmp_path / "Image"
    path.write_bytes(bytes(100) + b"Linux version 6.6.1-arm (builder) #1 SMP" + bytes(10))
    assert release_of(path) == "6.6.1-arm"


def test_a_tag_that_vng_does_not_know(store):
    with pytest.raises((KernelSourceError, MissingToolError)):
        find("vng:newest", fetcher(store))
