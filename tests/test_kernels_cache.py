# SPDX-License-Identifier: Apache-2.0
"""From packages to the cache: whole or not at all, also when two fetch or one is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.errors import KernelSourceError
from harness.kernels import fetch as module
from harness.kernels.fetch import choose, flavour, matches, release_of_package, upstream
from harness.kernels.find import find
from harness.kernels.store import Store
from tests.kernel_archive import RELEASE, Archive, fetcher, one_package, package, split

ROOT = Path(__file__).parents[1]

PACKAGES = [
    package(f"linux-image-{release}-{flavour()}", version)
    for release, version in [
        ("5.10.0-46", "5.10.262-1"), ("6.1.0-56", "6.1.192-2"), ("6.1.0-9", "6.1.27-1"),
        ("6.12.9+deb12", "6.12.9-1~bpo12+1"), ("6.12.9+deb13", "6.12.9-1"),
        ("6.12.100+deb13", "6.12.100-1"), ("7.3.4+deb13", "7.3.4-1~bpo13+1"),
    ]
] + [
    package(f"linux-image-6.12-{flavour()}", "6.12.200-1"),  # only depends on the newest
    package(f"linux-image-6.12.200-cloud-{flavour()}", "6.12.200-1"),
    package(f"linux-image-6.12.200-rt-{flavour()}", "6.12.200-1"),
    package(f"linux-image-6.12.200-{flavour()}-unsigned", "6.12.200-1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "release"),
    [
        ("5.10", "5.10.0-46"), ("6.1", "6.1.0-56"), ("6.12", "6.12.100+deb13"),
        ("6", "6.12.100+deb13"), ("7", "7.3.4+deb13"), ("6.12.9", "6.12.9+deb13"),
        ("6.1.27", "6.1.0-9"), (f"6.12.9+deb12-{flavour()}", "6.12.9+deb12"),
    ],
)  # fmt: skip
def test_a_prefix_means_the_newest_that_begins_with_it(asked, release):
    assert choose(PACKAGES, asked).name == f"linux-image-{release}-{flavour()}"


def test_a_prefix_of_whole_numbers_only():
    assert choose(PACKAGES, "6.3") is None
    assert matches("6.1", "6.1.0-56-amd64", "6.1.192")
    assert not matches("6.1", "6.12.9-amd64", "6.12.9")
    assert not matches("6.1", "6.1.0-56-amd64", "")


def test_upstreams_version():
    assert upstream("1:6.12.117-1~bpo12+1") == "6.12.117"
    assert release_of_package("linux-headers-6.12.9-amd64") == ""


def test_a_kernel_is_fetched_once(store):
    said = []
    getting = fetcher(store, say=said.append)
    kept = getting.fetch("6.12")
    assert (kept.release, kept.version) == (RELEASE, "6.12.9")
    kernel = kept.kernel("6.12")
    assert kernel.image == store.root / RELEASE / "boot" / f"vmlinuz-{RELEASE}"
    assert kernel.modules == store.root / RELEASE / "lib" / "modules" / RELEASE
    assert (kernel.modules / "modules.dep").exists()  # packages have none: depmod made it
    assert not (store.root / RELEASE / "usr" / "share").exists()
    assert getting.fetch("6.12") == kept
    assert getting.mirror.downloads == 1
    assert len(said) == 1


def test_files_spread_over_packages(store):
    release = "7.3.4+deb13-" + flavour()
    names = [f"linux-{part}-{release}" for part in ("base", "binary", "modules")]
    archive = Archive(
        [package(f"linux-image-{release}", "7.3.4-1", "linux-base", *names)]
        + [package(name, "7.3.4-1") for name in names]
        + [package(names[1], "7.3.3-1")],
        split,
    )  # fmt: skip
    kept = fetcher(store, archive).fetch("7")
    assert sorted(kept.packages) == sorted([f"linux-image-{release}", *names])
    assert kept.kernel("7").modules == store.root / release / "usr" / "lib" / "modules" / release


def test_an_unknown_version_says_what_there_is(store):
    with pytest.raises(KernelSourceError) as error:
        fetcher(store).fetch("6.3")
    assert str(error.value) == (
        "the mirror has no kernel 6.3: it has 6.12; these suites are not there: bullseye-backports"
    )
    assert error.value.exit_code == 22


def test_a_refused_signature_is_said_where_a_kernel_is_missing(store):
    getting = fetcher(store)
    getting.mirror.refused = ["GPG error: sid InRelease: NO_PUBKEY 1234"]
    with pytest.raises(
        KernelSourceError, match=r"no kernel 6.3; GPG error: sid InRelease: NO_PUBK"
    ):
        getting.fetch("6.3")


@pytest.mark.parametrize("asked", ["latest", "6.x", ""])
def test_no_version_at_all(store, asked):
    with pytest.raises(KernelSourceError, match=r"is no kernel: use a version"):
        fetcher(store).fetch(asked)


@pytest.mark.parametrize(
    ("without", "words"), [("vmlinuz", "have no kernel image"), ("modules", "have no modules")]
)
def test_a_package_that_lacks_what_makes_a_kernel(store, without, words):
    def lacking(entry):
        return {path: data for path, data in one_package(entry).items() if without not in path}

    archive = Archive([package(f"linux-image-{RELEASE}", "6.12.9-1")], lacking)
    with pytest.raises(KernelSourceError, match=words):
        fetcher(store, archive).fetch("6.12")
    assert store.kept() == []
    assert not list(store.root.glob(".partial-*"))


def test_a_package_that_cannot_be_unpacked(store):
    class Broken(Archive):
        def download(self, packages, directory):
            (deb,) = super().download(packages, directory)
            deb.write_bytes(deb.read_bytes()[:300])
            return [deb]

    archive = Broken([package(f"linux-image-{RELEASE}", "6.12.9-1")], one_package)
    with pytest.raises(KernelSourceError, match=r"\.deb cannot be unpacked: .*: fetch it again"):
        fetcher(store, archive).fetch("6.12")
    assert store.kept() == []


def test_no_room(store, monkeypatch):
    usage = type("usage", (), {"free": 5000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        KernelSourceError, match=r"no room for .*: make room with `hostroute kernels"
    ):
        fetcher(store).fetch("6.12")


def test_two_who_fetch_at_once_fetch_it_once(store):
    archive = Archive([package(f"linux-image-{RELEASE}", "6.12.9-1")], one_package, delay=0.2)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fetcher(store, archive).fetch("6.12")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert archive.downloads == 1
    assert {kept.release for kept in found} == {RELEASE}


KILLED = """
import sys, time
from pathlib import Path
from harness.kernels.store import Store
with Store(Path(sys.argv[1])).adding("6.12.9") as partial:
    (partial / "half").write_bytes(b"x")
    print("here", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_fetch_left_is_no_kernel_and_goes(store):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.root)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stdout.readline() == "here\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    left = list(store.root.glob(".partial-*"))
    assert left
    assert store.kept() == []
    with store.adding("6.12.9") as partial:
        assert list(store.root.glob(".partial-*")) == [partial]


def test_a_damaged_kernel_is_not_booted(store):
    kept = fetcher(store).fetch("6.12")
    path = store.root / RELEASE / "lib" / "modules" / RELEASE / "kernel/drivers/net/veth.ko"
    path.write_bytes(b"changed")
    with pytest.raises(KernelSourceError, match=r"damaged \(.*veth.ko has another checksum\): run"):
        kept.kernel("6.12")
    path.unlink()
    with pytest.raises(KernelSourceError, match=r"damaged \(.*veth.ko: No such file"):
        kept.kernel("6.12")


def test_a_kernel_in_use_is_not_removed(store):
    fetcher(store).fetch("6.12")
    with store.using(RELEASE):
        assert not store.remove(RELEASE)
        assert store.get(RELEASE)
    assert store.remove(RELEASE)
    assert store.get(RELEASE) is None


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KernelSourceError, match=r"cannot be written .*: set XDG_CACHE_HOME"):
        fetcher(Store(tmp_path / "file" / "kernels")).fetch("6.12")


def test_a_full_disk_is_said_in_a_line(store, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for name in ("tempfile.mkdtemp", "_write_durably"):
        with monkeypatch.context() as patched:
            patched.setattr(f"harness.kernels.store.{name}", full)
            with pytest.raises(KernelSourceError, match=r"No space left on device\): make room"):
                fetcher(store).fetch("6.12")
    assert store.kept() == []
    assert not list(store.root.glob(".partial-*"))


def test_what_killed_fetches_left_is_removed_unless_it_is_being_fetched(store):
    with store.adding("6.12.9-a") as partial:
        left = store.root / ".partial-6.1.0-b-abcd_123"
        left.mkdir()
        assert store.remove_partial() == [left.name]
        assert partial.exists()


def test_a_kernel_that_lacks_a_file_has_a_size(store):
    kept = fetcher(store).fetch("6.12")
    whole = kept.size()
    (kept.directory / "boot" / f"vmlinuz-{RELEASE}").unlink()
    assert 0 < kept.size() < whole


def test_a_manifest_of_another_version_is_no_kernel(store):
    (store.root / "1").mkdir(parents=True)
    (store.root / "1" / "manifest.json").write_text('{"format": "hostroute-kernel"}')
    assert store.kept() == []


def test_a_manifest_that_names_another_directory_is_no_kernel(store):
    kept = fetcher(store).fetch("6.12")
    manifest = kept.directory / "manifest.json"
    table = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**table, "release": "../elsewhere"}))
    assert store.kept() == []  # `prune` would remove what it names


# ----------------------------------------------------------------------------------------- finding


def test_a_cached_kernel_is_taken_without_asking_the_mirror(store):
    getting = fetcher(store)
    getting.fetch("6.12")
    getting.mirror.packages = None
    getting._images = []
    assert find("6", getting).release == RELEASE
    assert find(RELEASE, getting).release == RELEASE
