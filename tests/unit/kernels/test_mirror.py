# SPDX-License-Identifier: Apache-2.0
"""The private apt: where the mirror is, what it has, and what it refuses."""

import fcntl
import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.kernels import mirror as module
from harness.kernels.catalogue import catalogue
from harness.kernels.lock import locked
from harness.kernels.mirror import Mirror, mirrors, parse_records, sources
from harness.plumbing.errors import KernelSourceError, MissingToolError

TARGETS = """\
bookworm http://mirror.example/debian/
bookworm-updates http://mirror.example/debian/
bookworm-security http://security.example/debian-security/
nodistro https://vendor.example/
stable http://other.example/debian/
cloud-sdk-bookworm https://vendor.example/
"""


def test_the_machines_own_mirrors_are_found_by_their_suites():
    assert mirrors(TARGETS) == {
        "main": ["http://mirror.example/debian/", "http://other.example/debian/"],
        "security": ["http://security.example/debian-security/"],
    }


def test_vendors_are_no_mirror():
    assert mirrors("nodistro https://vendor.example/\n") == {}


@pytest.fixture
def machine(monkeypatch):
    """A machine whose apt says what the test wants."""
    said = {"apt-get": TARGETS, "apt-config": ""}

    def run(argv, *_, **__):
        return said[argv[0]]

    monkeypatch.setattr(module, "run", run)
    return said


def test_sources_are_every_suite_at_the_machines_mirrors_with_debians_keys(
    machine, monkeypatch, tmp_path
):
    keys = tmp_path / "keys.gpg"
    keys.touch()
    monkeypatch.setattr(module, "_KEYRINGS", ("/not/there", str(keys)))
    lines = sources().splitlines()
    assert f"deb [signed-by={keys}] http://mirror.example/debian/ trixie-backports main" in lines
    security = "http://security.example/debian-security/ bullseye-security main"
    assert f"deb [signed-by={keys}] {security}" in lines
    suites = catalogue().suites
    assert len(lines) == 2 * len(suites["main"]) + len(suites["security"])


def test_a_machine_without_a_mirror(machine):
    machine["apt-get"] = "noble http://mirror.example/ubuntu/\n"
    with pytest.raises(KernelSourceError, match=r"no mirror of Debian: name the path"):
        sources()


def test_a_machine_without_debians_keys(machine, monkeypatch):
    monkeypatch.setattr(module, "_KEYRINGS", ("/not/there",))
    with pytest.raises(MissingToolError, match=r"debian-archive-keyring"):
        sources()


def test_the_private_apt_takes_the_way_to_the_mirror_and_no_hook(machine, tmp_path):
    machine["apt-config"] = """\
Acquire::http::Proxy "http://proxy.example:3128/";
Acquire::AllowInsecureRepositories "1";
Acquire::IndexTargets::deb::Contents-deb "";
APT::Update::Post-Invoke-Success:: "touch /tmp/hook";
DPkg::Post-Invoke:: "touch /tmp/hook";
Dir::State "var/lib/apt";
"""
    private = Mirror(tmp_path)
    private._write()
    text = (tmp_path / "apt.conf").read_text()
    assert 'Acquire::http::Proxy "http://proxy.example:3128/";' in text
    assert "hook" not in text
    assert "Contents" not in text
    # apt takes the last word: what the machine allows does not count.
    assert text.index('AllowInsecureRepositories "1"') < text.index('AllowInsecureRepositories "0"')
    assert f'Dir::State "{tmp_path}/state";' in text


RECORDS = """\
Package: linux-image-7.3.4+deb13-amd64
Source: linux-signed-amd64 (7.3.4+1~bpo13+1)
Version: 7.3.4-1~bpo13+1
Depends: dracut | initramfs-tools (>= 0.120), linux-base-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), linux-binary-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)
Pre-Depends: linux-base (>= 4.17~)
Filename: pool/main/l/linux-signed-amd64/linux-image-7.3.4.deb
Size: 1900
Description: Linux
 Depends: not a field

Package: by-hand
Version: 1
Status: install ok installed
"""  # noqa: E501


def test_records_of_apt():
    (package,) = parse_records(RECORDS)
    assert (package.name, package.version) == ("linux-image-7.3.4+deb13-amd64", "7.3.4-1~bpo13+1")
    assert package.size == 1900
    assert package.needs == (
        "linux-base", "dracut", "initramfs-tools", "linux-base-7.3.4+deb13-amd64",
        "linux-binary-7.3.4+deb13-amd64",
    )  # fmt: skip


def repository(root: Path) -> Path:
    """An archive of one suite, `sid`, with one package; not signed."""
    lists = root / "dists" / "sid" / "main" / "binary-amd64"
    lists.mkdir(parents=True)
    packages = b"Package: linux-image-9.9.9-amd64\nVersion: 9.9.9-1\nArchitecture: amd64\n" \
        b"Maintainer: nobody\nFilename: pool/a.deb\nSize: 3\nSHA256: " \
        + hashlib.sha256(b"abc").hexdigest().encode() + b"\n"  # fmt: skip
    (lists / "Packages.gz").write_bytes(gzip.compress(packages))
    (lists / "Packages").write_bytes(packages)
    (root / "pool").mkdir()
    (root / "pool" / "a.deb").write_bytes(b"abc")
    sums = "".join(
        f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size}"
        f" main/binary-amd64/{path.name}\n"
        for path in sorted(lists.iterdir())
    )
    release = f"Origin: Debian\nSuite: sid\nCodename: sid\nArchitectures: amd64\nComponents: main\nDate: Sun, 22 Nov 2026 00:00:00 UTC\nSHA256:\n{sums}"  # fmt: skip # noqa: E501
    (root / "dists" / "sid" / "Release").write_text(release)
    return root


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A mirror of the machine's that is a directory."""
    archive = repository(tmp_path / "archive")
    keys = tmp_path / "keys.gpg"
    keys.touch()

    def only_sid():
        return f"deb [signed-by={keys}] file:{archive} sid main\n"

    monkeypatch.setattr(module, "sources", only_sid)
    return archive, keys


def test_lists_that_are_not_signed_are_refused(offline, tmp_path):
    private = Mirror(tmp_path / "apt")
    with pytest.raises(KernelSourceError, match=r"sid Release' is not signed"):
        private.packages("linux-image-.*")
    assert private.refused


@pytest.fixture
def signed(offline, monkeypatch, tmp_path):
    """The same, signed with a key the machine trusts."""
    if shutil.which("gpg") is None:
        pytest.skip("no gpg here to sign with")
    archive, keys = offline
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)

    def gpg(*arguments):
        subprocess.run(
            ["gpg", "--homedir", str(home), "--batch", "--yes", "--passphrase", "", *arguments],
            check=True, capture_output=True,
        )  # fmt: skip

    gpg("--quick-gen-key", "tests", "ed25519", "sign", "never")
    keys.unlink()
    gpg("--output", str(keys), "--export")
    release = archive / "dists" / "sid" / "Release"
    gpg("--output", str(release.with_name("InRelease")), "--clearsign", str(release))
    yield archive
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


def test_lists_that_are_signed_are_read(signed, tmp_path):
    private = Mirror(tmp_path / "apt")
    (package,) = private.packages("linux-image-.*-amd64")
    assert (package.name, package.version) == ("linux-image-9.9.9-amd64", "9.9.9-1")
    assert "sid" not in private.absent()
    assert "trixie" in private.absent()
    (deb,) = private.download([package], _directory(tmp_path))
    assert deb.read_bytes() == b"abc"


def test_a_package_that_is_not_what_the_lists_say_is_refused(signed, tmp_path):
    (signed / "pool" / "a.deb").write_bytes(b"xyz")
    private = Mirror(tmp_path / "apt")
    packages = private.packages("linux-image-.*-amd64")
    with pytest.raises(
        KernelSourceError, match=r"linux-image-9.9.9-amd64=9.9.9-1 cannot be fetched"
    ):
        private.download(packages, _directory(tmp_path))


def test_a_tampered_list_is_refused(signed, tmp_path):
    inrelease = signed / "dists" / "sid" / "InRelease"
    inrelease.write_text(inrelease.read_text().replace("Suite: sid", "Suite: sad"))
    with pytest.raises(KernelSourceError, match=r"gives no list of kernel packages"):
        Mirror(tmp_path / "apt").packages("linux-image-.*")


def test_fresh_lists_are_not_fetched_again(signed, tmp_path):
    private = Mirror(tmp_path / "apt")
    assert private.packages("linux-image-.*")
    shutil.rmtree(signed / "dists")
    assert private.packages("linux-image-.*")


def test_a_mirror_is_waited_for_once_whether_it_answers_or_not(signed, tmp_path, monkeypatch):
    updates = []
    apt = Mirror._apt

    def counted(mirror, *argv):
        updates.extend(["update"] if "update" in argv else [])
        return apt(mirror, *argv)

    monkeypatch.setattr(Mirror, "_apt", counted)
    private = Mirror(tmp_path / "apt")
    for _ in range(3):
        assert private.packages("linux-image-.*", refresh=True)
    assert len(updates) == 1
    shutil.rmtree(signed / "dists")
    other = Mirror(tmp_path / "other")
    for _ in range(3):
        with pytest.raises(KernelSourceError, match="the mirror gives no list"):
            other.packages("linux-image-.*", refresh=True)
    assert len(updates) == 2


def test_lists_that_could_not_all_be_fetched_are_not_fresh(signed, tmp_path, monkeypatch):
    only_sid = module.sources()
    late = only_sid.replace(f"file:{signed}", "http://127.0.0.1:1")
    monkeypatch.setattr(module, "sources", lambda: only_sid + late)
    private = Mirror(tmp_path / "apt")
    assert private.packages("linux-image-.*")  # of the one that answers
    assert not (tmp_path / "apt" / "fetched").exists()
    assert "connect to 127.0.0.1:1" in private.refused[0]  # apt 2: Could not; apt 3: Unable to
    absent = only_sid.replace(" sid ", " trixie ")
    monkeypatch.setattr(module, "sources", lambda: only_sid + absent)
    assert private.packages("linux-image-.*")
    assert not (tmp_path / "apt" / "fetched").exists()  # once in a process is enough
    assert Mirror(tmp_path / "apt").packages("linux-image-.*")
    assert (tmp_path / "apt" / "fetched").exists()  # what the mirror has not is passed over


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ("E: The repository 'http://m sid Release' does not have a Release file.", 0),
        ("E: Failed to fetch http://m/Packages  404  Not Found [IP: 192.0.2.1 80]", 0),
        ("W: GPG error: http://m sid InRelease: NO_PUBKEY 12\n"
         "E: The repository 'http://m sid InRelease' is not signed.", 0),
        ("W: Target Packages is configured multiple times", 0),
        ("W: Failed to fetch http://m/InRelease  503  Busy\n"
         "W: Some index files failed to download. They have been ignored.", 1),
        ("E: Failed to fetch http://m/Packages.xz  Hash Sum mismatch", 1),
        ("E: Could not get lock /x/lock. It is held by process 7 (apt-get)", 1),
    ],
)  # fmt: skip
def test_what_the_next_try_may_mend(said, lines):
    assert len(module.not_fetched(said)) == lines


def test_two_processes_take_turns_at_the_lists(offline, tmp_path):
    private, other = Mirror(tmp_path / "apt"), Mirror(tmp_path / "apt")
    (tmp_path / "apt").mkdir()
    with locked(private.directory):
        assert not other.remove()
        with pytest.raises(BlockingIOError), locked(other.directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
            pass
    assert other.remove()
    assert not (tmp_path / "apt").exists()


def test_a_cache_for_lists_that_cannot_be_written(offline, tmp_path):
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file" / "apt", tmp_path / "file"):
        with pytest.raises(KernelSourceError, match=r"cannot be written \(.*set XDG_CACHE_HOME"):
            Mirror(directory).packages("linux-image-.*")


def _directory(tmp_path):
    path = tmp_path / "fetched"
    path.mkdir()
    return path
