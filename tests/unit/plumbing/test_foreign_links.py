# SPDX-License-Identifier: Apache-2.0
"""What the commands write goes where it was named, whatever other users put there."""

import json
import os
import stat
from types import SimpleNamespace

import pytest

from harness import results
from harness.cli import main
from harness.plugin import failures, options
from harness.plumbing.errors import RecordError
from tests.support import records

SMALL = {"measures": (), "growth": []}


@pytest.fixture
def base(tmp_path):
    """A record."""
    path = tmp_path / "run-base.json"
    path.write_text(json.dumps(records.record(**SMALL)))
    return path


@pytest.fixture
def shared(tmp_path):
    """A directory in which everybody may make files, as /tmp."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture
def victim(tmp_path):
    """A directory with a file of ours that others would like to change; what is in it."""
    path = tmp_path / "victim"
    path.mkdir()
    (path / "file").touch()
    return path


def untouched(victim):
    return [(path.name, path.read_bytes()) for path in victim.iterdir()] == [("file", b"")]


@pytest.fixture(params=[0o022, 0o077, 0o027], ids=oct)
def mode(request):
    """A umask that is set, and what new files then have."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def report(base, target, *options):
    return main(["report", str(base), "--format", "md", "-o", str(target), *options])


@pytest.mark.parametrize("target", ["file", "new"])
@pytest.mark.parametrize("options", [(), ("--force",)])
def test_report_follows_no_other_user_s_link(
    base, shared, victim, another, target, options, capsys
):
    link = another.links(shared / "report.md", victim / target)
    assert report(base, link, *options) == RecordError.exit_code
    words = f"({link.name} is a symbolic link of user "
    assert words in capsys.readouterr().err
    assert untouched(victim)
    assert link.is_symlink()


@pytest.mark.parametrize("below", ["report.md", "new/report.md"])
def test_report_goes_through_no_other_user_s_link(base, shared, victim, another, below, capsys):
    another.links(shared / "place", victim)
    assert report(base, shared / "place" / below) == RecordError.exit_code
    assert "(place is a symbolic link of user " in capsys.readouterr().err
    assert untouched(victim)


def test_report_follows_a_link_of_ours_no_further_than_one_of_theirs(
    base, shared, victim, another, tmp_path, capsys
):
    (tmp_path / "mine.md").symlink_to(shared / "theirs.md")
    another.links(shared / "theirs.md", victim / "file")
    assert report(base, tmp_path / "mine.md", "--force") == RecordError.exit_code
    assert "(theirs.md is a symbolic link of user " in capsys.readouterr().err
    assert untouched(victim)


def test_report_replaces_no_other_user_s_file_where_everybody_may_make_one(
    base, shared, another, capsys
):
    assert report(base, shared / "report.md") == 0
    theirs = another.owns(shared / "report.md")
    before = theirs.stat()
    assert report(base, theirs, "--force") == RecordError.exit_code
    assert "(it belongs to user " in capsys.readouterr().err
    assert theirs.stat() == before


def test_report_hands_nothing_to_another_user_s_fifo(base, shared, another, capsys):
    os.mkfifo(shared / "fifo")
    reader = os.open(shared / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert report(base, another.owns(shared / "fifo")) == RecordError.exit_code
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


def test_report_has_the_mode_that_the_umask_leaves(base, tmp_path, mode):
    for name in ("a.md", "a.csv", "a.html"):
        main(["report", str(base), "-o", str(tmp_path / name)])
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


def test_a_new_report_is_no_more_open_than_the_old_one(base, tmp_path):
    target = tmp_path / "a.md"
    assert report(base, target) == 0
    target.chmod(0o600)
    assert report(base, target) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_standard_output_by_its_name(base, capfd):
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        assert report(base, name) == 0
        assert capfd.readouterr().out.startswith("# eBPF host routing")


@pytest.fixture(params=["nameless drafts", "named drafts"])
def drafts(request, monkeypatch):
    """With and without O_TMPFILE, which some file systems lack."""
    if request.param == "named drafts":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)  # EISDIR


def test_records_have_the_mode_that_the_umask_leaves(tmp_path, mode, drafts):
    path = results.write(tmp_path / "results", records.run(**SMALL))
    results.merge([records.run(**SMALL)], tmp_path / "all.json")
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, tmp_path / "all.json")]
    assert modes == [mode, mode]


@pytest.mark.parametrize("below", ["", "new"])
def test_records_follow_no_other_user_s_link(shared, victim, another, below, monkeypatch, tmp_path):
    (tmp_path / "refuge").mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "refuge"))
    another.links(shared / "results", victim)
    with pytest.raises(RecordError, match=r"\(results is a symbolic link of user \d+\)") as caught:
        results.write(shared / "results" / below, records.run(**SMALL))
    (kept,) = (tmp_path / "refuge").iterdir()  # not lost
    assert f"it was kept as {kept}" in str(caught.value)
    assert untouched(victim)


def test_records_follow_a_link_of_ours(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").symlink_to("elsewhere")
    path = results.write(tmp_path / "results", records.run(**SMALL))
    assert [each.name for each in (tmp_path / "elsewhere").iterdir()] == [path.name]


def test_merge_follows_no_link_at_all(shared, victim, base, another, capsys):
    link = another.links(shared / "all.json", victim / "new")
    code = main(["results", "merge", str(base), "-o", str(link)])
    assert (code, "exists already" in capsys.readouterr().err) == (RecordError.exit_code, True)
    another.links(shared / "place", victim)
    code = main(["results", "merge", str(base), "-o", str(shared / "place" / "all.json")])
    assert code == RecordError.exit_code
    assert "(place is a symbolic link of user " in capsys.readouterr().err
    assert untouched(victim)


def test_a_record_is_read_up_to_a_size(tmp_path, capsys):
    path = tmp_path / "run-x.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert main(["results", "show", str(path)]) == RecordError.exit_code
    assert "(larger than 1024 MiB)" in capsys.readouterr().err


def test_an_old_report_is_read_at_its_ends_only(base, tmp_path, capsys):
    with (tmp_path / "a.md").open("wb") as file:
        file.truncate(1 << 40)
    assert report(base, tmp_path / "a.md") == RecordError.exit_code
    assert "is no report of hostroute" in capsys.readouterr().err


def config(root, **options):
    """A pytest.Config of so many options."""
    known = {"hr_results": None, **options}
    return SimpleNamespace(rootpath=root, getoption=lambda name, _=None: known.get(name), stash={})


def kept(root):
    """Keep the captures of a test that failed."""
    directory = root / "scratch" / "testbed" / "1"
    directory.mkdir(parents=True)
    (directory / "pod1-eth0.in.pcap").write_bytes(b"frames")
    testbed = SimpleNamespace(captures=[SimpleNamespace(directory=directory)])
    known = config(root)
    known.stash = {failures._KEPT: set()}
    item = SimpleNamespace(config=known, nodeid="test_x.py::test_y", path=root / "test_x.py")
    return failures._keep(testbed, item)


def test_pcaps_are_kept(tmp_path, mode):
    (directory,) = kept(tmp_path)
    (path,) = directory.iterdir()
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"frames", mode)


def test_pcaps_follow_no_other_user_s_link(tmp_path, victim, another):
    (tmp_path / "results").mkdir()
    another.links(tmp_path / "results" / "pcaps", victim)
    (victim / "test_x").mkdir()
    with pytest.raises(PermissionError, match="pcaps is a symbolic link of user"):
        kept(tmp_path)
    assert list((victim / "test_x").iterdir()) == []


def test_results_are_asked_for_a_link_before_the_run(tmp_path, victim, another):
    another.links(tmp_path / "results", victim)
    with pytest.raises(RecordError, match=r"\(results is a symbolic link of user"):
        options.check_results(config(tmp_path))


def test_pytest_benchmark_saves_through_no_other_user_s_link(tmp_path, victim, another):
    another.links(tmp_path / "saved", victim)
    asked = config(tmp_path, benchmark_autosave=True, benchmark_storage=f"file://{tmp_path}/saved")
    with pytest.raises(RecordError, match=r"\(saved is a symbolic link of user"):
        options._check_storage(asked)
