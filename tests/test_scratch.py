# SPDX-License-Identifier: Apache-2.0
"""Temporary directories: locked by their owner, reaped without one, and never made without end."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import scratch
from harness.errors import HarnessError


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_directory_in_use_is_not_reaped(temporary):
    path = scratch.make("run")
    assert scratch.reap() == []
    assert path.is_dir()
    scratch.remove(path)
    assert not path.exists()


OWNER = """
from harness import scratch
(scratch.make("run") / "pod1.pcap").write_text("x")
print("made", flush=True)
input()
"""


def test_a_killed_owners_directory_is_reaped_and_a_living_ones_is_not(temporary):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "made\n"
        (path,) = temporary.iterdir()
        assert scratch.reap() == []
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert scratch.reap() == [path]
    assert not path.exists()


def test_what_is_not_ours_is_left_alone(temporary):
    (temporary / "hostroute-notes").mkdir()
    (temporary / "hostroute-scratch-link").symlink_to(temporary / "hostroute-notes")
    (temporary / "hostroute-scratch-file").touch()
    assert scratch.reap() == []
    assert len(list(temporary.iterdir())) == 3


def refuse(number):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    return refused


@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        ("fcntl", "flock", errno.EBADF),  # as NFS does: it locks only what is open for writing
        ("fcntl", "flock", errno.ENOLCK),
        ("os", "open", errno.EACCES),
    ],
)
def test_a_directory_that_cannot_be_locked_is_said_and_goes(
    temporary, monkeypatch, module, name, number
):
    monkeypatch.setattr(getattr(scratch, module), name, refuse(number))
    with pytest.raises(HarnessError) as found:
        scratch.make("run")
    assert f"in {temporary} cannot be locked ({os.strerror(number)}): " in str(found.value)
    assert "TMPDIR" in found.value.todo
    monkeypatch.undo()
    assert list(temporary.iterdir()) == []


NO_DESCRIPTORS = """
import os, tempfile
tempfile.gettempdir()  # found out once, with a file
from harness import scratch
from harness.errors import HarnessError
open_ones = []
try:
    while True:
        open_ones.append(os.dup(0))
except OSError:
    pass
try:
    scratch.make("run")
except HarnessError as error:
    print(error)
"""


def test_without_descriptors_none_is_left_behind(temporary):
    ended = subprocess.run(
        ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", sys.executable, "-c", NO_DESCRIPTORS],
        env={**os.environ, "TMPDIR": str(temporary)}, capture_output=True, text=True, check=True,
        timeout=30,
    )  # fmt: skip
    assert ended.stdout == (
        f"a directory in {temporary} cannot be locked (Too many open files): "
        "allow more open files: `ulimit -n`\n"
    )
    assert list(temporary.iterdir()) == []


def test_a_directory_that_the_file_system_gives_to_another_user_is_said_and_goes(
    temporary, monkeypatch
):
    ours = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)  # as where root is squashed
    words = rf"belongs to user {ours}, not to {ours + 1}\): .*TMPDIR"
    with pytest.raises(HarnessError, match=words):
        scratch.make("run")
    assert list(temporary.iterdir()) == []


def test_a_temporary_directory_that_takes_none_is_said(temporary, monkeypatch):
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(temporary / "gone"))
    with pytest.raises(HarnessError, match=r"No such file or directory.*TMPDIR"):
        scratch.make("run")


@pytest.mark.parametrize("how", ["removed", "locked"])
def test_others_that_reap_without_end_do_not_keep_us_forever(temporary, monkeypatch, how):
    """Each directory is taken by another process before it is locked."""
    lock = scratch.fcntl.flock

    def taken(fd, operation):
        if how == "locked":
            raise BlockingIOError(errno.EWOULDBLOCK, "taken")
        shutil.rmtree(Path(f"/proc/self/fd/{fd}").readlink())
        lock(fd, operation)

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(scratch.fcntl, "flock", taken)
    with pytest.raises(HarnessError, match="were taken by another process: "):
        scratch.make("run")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(temporary.iterdir()) == []


def test_one_that_was_reaped_before_it_was_locked_is_made_again(temporary, monkeypatch):
    lock, calls = scratch.fcntl.flock, []

    def taken_once(fd, operation):
        calls.append(fd)
        if len(calls) == 1:
            shutil.rmtree(Path(f"/proc/self/fd/{fd}").readlink())
        lock(fd, operation)

    monkeypatch.setattr(scratch.fcntl, "flock", taken_once)
    path = scratch.make("run")
    assert list(temporary.iterdir()) == [path]
    scratch.remove(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_other_users_directories_are_left_alone(temporary):
    (temporary / "hostroute-scratch-run-other").mkdir()
    os.chown(temporary / "hostroute-scratch-run-other", 65534, 65534)
    kept = temporary / "kept"
    kept.mkdir()
    (kept / "file").touch()
    left = temporary / "hostroute-scratch-run-left"
    left.mkdir()
    (left / "link").symlink_to(kept)
    assert scratch.reap() == [left]
    assert sorted(path.name for path in temporary.iterdir()) == [
        "hostroute-scratch-run-other", "kept",
    ]  # fmt: skip
    assert (kept / "file").exists()
