# SPDX-License-Identifier: Apache-2.0
"""`hostroute report`: where it writes, what it refuses, and what it says of bad input."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from tests.support import records

ROOT = Path(__file__).parents[3]


@pytest.fixture
def results(tmp_path):
    """A directory of two records."""
    place = tmp_path / "results"
    place.mkdir()
    for seed in (1, 2):
        document = records.record(seed=seed, measures=("round-trip-udp-1",), testbeds=("one_node",),
                                  families=("ipv4",), growth=[])  # fmt: skip
        (place / f"{document['id']}.json").write_text(json.dumps(document))
    return place


def said(capsys, *argv):
    """Exit code, standard output and standard error."""
    code = main(["report", *map(str, argv)])
    found = capsys.readouterr()
    return code, found.out, found.err


def refused(capsys, *argv):
    """The one line, and nothing else."""
    code, out, err = said(capsys, *argv)
    assert out == ""
    assert len(err.splitlines()) == 1
    return code, err


def test_a_page_into_a_file(results, tmp_path, capsys):
    target = tmp_path / "new" / "report.html"
    assert said(capsys, results, "-o", target) == (0, "", "")
    text = target.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "from 2 records" in text
    assert "programs attached, hit counters rise" not in text  # no test of HR-01 ran
    assert "legs, same node" in text  # the catalogue's title
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert list(target.parent.iterdir()) == [target]


def test_a_user_without_a_home(results):
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/proc/none")
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "report", results],
        env={**os.environ, **nowhere}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        (["--format", "md"], "# eBPF host routing"),
        (["--format", "csv"], "run,started,"),
        (["--format", "html"], "<!DOCTYPE html>"),
        ([], "<!DOCTYPE html>"),
    ],
)
def test_standard_output(results, options, begins, capsys):
    code, out, err = said(capsys, results, *options)
    assert (code, err) == (0, "")
    assert out.startswith(begins)


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.md", "# eBPF"), ("a.CSV", "run,started,"), ("a.html", "<!DOC"), ("a.txt", "<!DOC")],
)
def test_the_suffix_decides(results, tmp_path, name, begins, capsys):
    assert said(capsys, results, "-o", tmp_path / name)[0] == 0
    assert (tmp_path / name).read_text().startswith(begins)


def test_the_format_overrules_the_suffix(results, tmp_path, capsys):
    assert said(capsys, results, "-o", tmp_path / "a.html", "--format", "csv")[0] == 0
    assert (tmp_path / "a.html").read_text().startswith("run,started,")


def test_a_page_is_not_for_a_terminal(results, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    code, line = refused(capsys, results)
    assert (code, "a page is not for a terminal: name a file, as in -o report.html" in line) == (
        17,
        True,
    )
    assert said(capsys, results, "--format", "md")[0] == 0


def test_files_are_taken_once(results, capsys):
    [first, _] = sorted(results.iterdir())
    _, once, _ = said(capsys, results, "--format", "csv")
    _, twice, _ = said(capsys, results, first, "--format", "csv")
    assert twice == once


def test_a_merged_file(results, tmp_path, capsys):
    _, apart, _ = said(capsys, results, "--format", "csv")
    assert main(["results", "merge", str(results), "-o", str(tmp_path / "all.json")]) == 0
    capsys.readouterr()
    assert said(capsys, tmp_path / "all.json", "--format", "csv")[1] == apart


# ------------------------------------------------------------------------------- what is there


@pytest.mark.parametrize("name", ["old.html", "old.md", "old.csv"])
def test_an_older_report_is_replaced(results, tmp_path, name, capsys):
    target = tmp_path / name
    for _ in range(2):
        assert said(capsys, results, "-o", target)[0] == 0


@pytest.mark.parametrize(
    "text",
    ["my notes", "<!DOCTYPE html><p>my page</p>",
     'my notes on <!DOCTYPE html> <meta name="generator" content="hostroute report">'],
)  # fmt: skip
def test_another_file_is_not_replaced_unless_forced(results, tmp_path, text, capsys):
    target = tmp_path / "mine.html"
    target.write_text(text)
    code, line = refused(capsys, results, "-o", target)
    assert code == 17
    assert f"{target} is no report of hostroute: name another file, or --force" in line
    assert target.read_text() == text
    assert said(capsys, results, "-o", target, "--force")[0] == 0
    assert target.read_text() != text


def test_who_reads_the_old_report_keeps_it_whole(results, tmp_path, capsys):
    target = tmp_path / "report.md"
    said(capsys, results, "-o", target)
    [first, _] = sorted(results.iterdir())
    with target.open() as reader:
        assert said(capsys, first, "-o", target)[0] == 0
        assert reader.read() != target.read_text()


def test_an_empty_file_is_nothing_to_lose(results, tmp_path, capsys):
    target = tmp_path / "made-by-mktemp"
    target.touch()
    assert said(capsys, results, "-o", target, "--format", "md")[0] == 0


def test_a_record_is_never_replaced(results, capsys):
    [first, _] = sorted(results.iterdir())
    before = first.read_bytes()
    code, line = refused(capsys, results, "-o", first, "--force")
    assert (code, "is one of the records" in line) == (17, True)
    assert first.read_bytes() == before


def test_a_record_is_never_replaced_whatever_else_cannot_be_read(results, tmp_path, capsys):
    [first, _] = sorted(results.iterdir())
    before = first.read_bytes()
    code, line = refused(capsys, tmp_path / "gone.json", first, "-o", first, "--force")
    assert (code, "is one of the records" in line) == (17, True)
    assert first.read_bytes() == before


def test_a_directory_is_no_report(results, tmp_path, capsys):
    code, line = refused(capsys, results, "-o", tmp_path)
    assert code == 17
    assert f"{tmp_path} (it is a directory): name a file, as in -o {tmp_path}/report.html" in line


def test_a_link_keeps_pointing_at_the_report(results, tmp_path, capsys):
    (tmp_path / "real.md").touch()
    (tmp_path / "link.md").symlink_to("real.md")
    assert said(capsys, results, "-o", tmp_path / "link.md")[0] == 0
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "real.md").read_text().startswith("# eBPF")


def test_a_disk_that_is_full_leaves_the_old_report(results, tmp_path, monkeypatch, capsys):
    target = tmp_path / "report.md"
    said(capsys, results, "-o", target)
    before = target.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    code, line = refused(capsys, results, "-o", target)
    assert code == 17
    assert "cannot write the report" in line
    assert "No space left on device" in line
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.md", "results"]


@pytest.mark.parametrize("name", ["", "file/report.md"])
def test_a_place_that_cannot_be_written(results, tmp_path, name, capsys):
    (tmp_path / "file").touch()
    code, line = refused(capsys, results, "-o", tmp_path / name, "--format", "md")
    assert (code, "cannot write the report" in line) == (17, True)


def test_a_device(results, capsys):
    code, line = refused(capsys, results, "-o", "/dev/full", "--format", "md")
    assert (code, "No space left on device" in line) == (17, True)
    assert said(capsys, results, "-o", "/dev/null", "--format", "md") == (0, "", "")
    assert Path("/dev/null").is_char_device()


# ----------------------------------------------------------------------------------- bad input


def test_no_such_directory(tmp_path, capsys):
    code, line = refused(capsys, tmp_path / "nowhere", "-o", tmp_path / "report.html")
    assert code == 17
    assert re.search(r"^hostroute: cannot read .*/nowhere \(No such file or directory\)", line)
    assert not (tmp_path / "report.html").exists()


def test_a_directory_without_records(tmp_path, capsys):
    (tmp_path / "benchmark.json").write_text("{}")
    code, line = refused(capsys, tmp_path)
    assert (code, f"{tmp_path} holds no records" in line) == (17, True)


def test_an_unknown_format(results, capsys):
    code, line = refused(capsys, results, "--format", "pdf")
    assert (code, "--format 'pdf' is unknown: use html, md, csv" in line) == (13, True)


def test_a_damaged_record_alone(tmp_path, capsys):
    path = tmp_path / "run-x.json"
    path.write_text(json.dumps(records.record())[:-500])
    code, line = refused(capsys, path)
    assert (code, "is not whole JSON" in line) == (17, True)


def test_a_damaged_record_among_others_is_named_and_left_out(results, tmp_path, capsys):
    (results / "run-bad.json").write_text("{")
    target = tmp_path / "report.html"
    code, out, err = said(capsys, results, "-o", target)
    assert (code, out) == (17, "")
    assert re.fullmatch(r"hostroute: left out: .*/run-bad.json is not whole JSON .*\n", err)
    text = target.read_text()
    assert re.search(r"<li>Not read: .*/run-bad.json is not whole JSON", text)
    assert "from 2 records" in text


def test_only_damaged_records(tmp_path, capsys):
    for name in ("run-a.json", "run-b.json"):
        (tmp_path / name).write_text("{")
    code, line = refused(capsys, tmp_path, "-o", tmp_path / "report.html")
    assert (code, "none of 2 files can be read" in line) == (17, True)
    assert not (tmp_path / "report.html").exists()


def test_two_records_that_share_an_id(results, capsys):
    [first, _] = sorted(results.iterdir())
    other = {**json.loads(first.read_text()), "harness": "9.9"}
    (results / "run-copy.json").write_text(json.dumps(other))
    code, _, err = said(capsys, results, "--format", "csv")
    assert code == 17
    assert "is not what another file says of the run" in err


def test_a_name_that_is_no_text(results, tmp_path, capsys):
    bad = os.fsdecode(os.fsencode(results) + b"/run-\xff.json")
    with open(bad, "w") as file:
        file.write("{")
    code, _, _ = said(capsys, results, "-o", tmp_path / "report.html")
    assert code == 17
    text = (tmp_path / "report.html").read_text()
    assert "\N{REPLACEMENT CHARACTER}.json is not whole JSON" in text
