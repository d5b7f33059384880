# SPDX-License-Identifier: Apache-2.0
"""Records are written whole or not at all, never over another, and never lost."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import pytest

from harness import results
from harness.plumbing.errors import RecordError
from harness.results import writer
from tests.support import records

SMALL = {"measures": ("round-trip-udp-1",), "testbeds": ("one_node",), "families": ("ipv4",),
         "builds": 2}  # fmt: skip


@pytest.fixture
def refuge(tmp_path, monkeypatch):
    """The temporary directory, where a record goes that cannot go elsewhere."""
    path = tmp_path / "refuge"
    path.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(path))
    return path


@pytest.fixture(params=["nameless drafts", "named drafts"])
def drafts(request, monkeypatch):
    """With and without O_TMPFILE, which some file systems lack."""
    if request.param == "named drafts":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)  # EISDIR


class StoppedClock(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 1, 12, tzinfo=tz)


def document(**changes):
    return records.record(**SMALL) | changes


def test_a_record_is_one_file_named_after_its_id(tmp_path, drafts):
    path = results.write(tmp_path / "new" / "results", document())
    assert list(path.parent.iterdir()) == [path]
    found = results.read(path)
    assert path.name == f"{found['id']}.json"
    assert os.uname().release in path.name
    assert found == document(id=found["id"])
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_run_that_begins_has_a_whole_record(tmp_path):
    begun = results.begin(tmp_path, ["pytest", "-m", "bench"], seed=7)
    found = results.read(results.write(tmp_path, begun))
    assert (found["command"], found["seed"]) == (["pytest", "-m", "bench"], 7)
    assert found["started"] <= found["ended"]
    assert found["machine"]["kernel"] == os.uname().release
    assert found["git"] == {"commit": None, "dirty": None}  # tmp_path is no checkout


@pytest.mark.parametrize(("named", "batch"), [("kernels-1", "kernels-1"), ("", None)])
def test_what_ran_in_one_command_says_so(tmp_path, monkeypatch, named, batch):
    monkeypatch.setenv(results.BATCH, named)
    begun = results.begin(tmp_path, ["pytest"])
    assert results.read(results.write(tmp_path, begun))["batch"] == batch


def test_what_json_makes_of_tuples_is_what_counts(tmp_path):
    changed = document(command=("pytest", "-q"))
    assert results.read(results.write(tmp_path, changed))["command"] == ["pytest", "-q"]


def test_two_records_of_one_second_do_not_meet(tmp_path):
    paths = {results.write(tmp_path, document(comparisons=[])) for _ in range(20)}
    assert len(paths) == len(list(tmp_path.iterdir())) == 20


def test_a_taken_name_is_not_overwritten(tmp_path, monkeypatch, drafts):
    monkeypatch.setattr(writer, "datetime", StoppedClock)
    chances = iter([b"\0\0\0", b"\0\0\0", b"\0\0\1"])
    monkeypatch.setattr(os, "urandom", lambda _: next(chances))
    first = results.write(tmp_path, document(seed=1))
    second = results.write(tmp_path, document(seed=2))
    assert (first.name[-11:], second.name[-11:]) == ("000000.json", "000001.json")
    assert [results.read(path)["seed"] for path in (first, second)] == [1, 2]


def test_when_every_name_is_taken_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "datetime", StoppedClock)
    monkeypatch.setattr(os, "urandom", bytes)
    first = results.write(tmp_path, document(seed=1))
    with pytest.raises(RecordError, match="no free name"):
        results.write(tmp_path, document(seed=2))
    assert results.read(first)["seed"] == 1
    assert list(tmp_path.iterdir()) == [first]


def _full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_no_half_file_and_loses_nothing(tmp_path, monkeypatch, drafts, refuge):
    results = tmp_path / "results"
    real = os.fsync
    calls = iter([_full, real, real])  # results' file; the refuge's, and its directory

    def fsync(handle):
        next(calls)(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RecordError, match=r"No space left on device.*it was kept as") as caught:
        results.write(results, document())
    assert list(results.iterdir()) == []
    (kept,) = refuge.iterdir()
    assert f"it was kept as {kept}: make room" in str(caught.value)
    found = results.read(kept)
    assert found == document(id=found["id"])


def test_when_no_disk_has_room_it_is_said(tmp_path, monkeypatch, drafts, refuge):
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(RecordError) as caught:
        results.write(tmp_path / "results", document())
    full = "(No space left on device)"
    assert f"nor into {refuge} {full}, nor into /dev/shm {full}: make room" in str(caught.value)
    assert list(refuge.iterdir()) == list((tmp_path / "results").iterdir()) == []


def test_memory_is_the_last_refuge(tmp_path, monkeypatch):
    def nowhere():
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    memory = tmp_path / "shm"
    memory.mkdir()
    monkeypatch.setattr(writer, "_MEMORY", memory)
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)  # it asks by writing
    (tmp_path / "results").write_text("")
    with pytest.raises(RecordError, match="Not a directory") as caught:
        results.write(tmp_path / "results", document())
    (kept,) = memory.iterdir()
    assert f"it was kept as {kept}: make room" in str(caught.value)
    assert str(caught.value).endswith("before the machine goes down")
    assert results.read(kept)


def test_a_file_where_the_directory_should_be(tmp_path, refuge):
    (tmp_path / "results").write_text("")
    with pytest.raises(RecordError, match=r"cannot write a record into .*Not a directory"):
        results.write(tmp_path / "results", document())
    assert len(list(refuge.iterdir())) == 1
    assert (tmp_path / "results").read_text() == ""


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}])
def test_what_json_has_not_is_kept_beside_and_said(tmp_path, value):
    with pytest.raises(RecordError, match="the record of this run is not valid") as caught:
        results.write(tmp_path, document(seed=value))
    (kept,) = tmp_path.iterdir()
    assert kept.name.endswith(".invalid.json")
    assert str(kept) in str(caught.value)
    assert len(json.loads(kept.read_text())["comparisons"]) == 1
    with pytest.raises(RecordError):
        results.read(kept)


def test_what_breaks_the_schema_is_kept_beside_and_said(tmp_path):
    with pytest.raises(RecordError, match=r"\$\.seed: is a text.*it was kept as"):
        results.write(tmp_path, document(seed="seven"))
    (kept,) = tmp_path.iterdir()
    assert kept.name.endswith(".invalid.json")


KILLED = """
import os, signal, sys
from pathlib import Path
from harness import results
from tests.support import records

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[2], die)
results.write(Path(sys.argv[1]), records.record(measures=()))
"""


@pytest.mark.parametrize("moment", ["fsync", "link"])
def test_sigkill_in_mid_write_leaves_nothing(tmp_path, moment):
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), moment],
        cwd=Path(__file__).parents[1], check=False, timeout=60,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_merging_never_overwrites(tmp_path):
    path = tmp_path / "all.json"
    results.merge([document()], path)
    before = path.read_bytes()
    with pytest.raises(RecordError, match=r"all\.json exists already: name a new file"):
        results.merge([document(seed=2)], path)
    assert path.read_bytes() == before
    with pytest.raises(RecordError, match="Not a directory"):
        results.merge([document()], path / "below.json")
    with pytest.raises(RecordError, match="is a directory: name a new file"):
        results.merge([document()], tmp_path)
