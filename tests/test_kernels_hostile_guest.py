# SPDX-License-Identifier: Apache-2.0
"""A guest writes what it likes into what it shares: nothing of it leads the host elsewhere."""

import json
import os
import shlex
import stat
import time
from contextlib import nullcontext

import pytest

from harness.cli import kernels_exact
from harness.cli import kernels_guests as cli
from harness.cli.kernels_exact import Figure
from harness.errors import GuestError, KernelSourceError, RecordError
from harness.kernels import Campaign, Job, Machine, campaign, outcomes, room
from harness.kernels.accelerator import emulation
from harness.kernels.guest import Prepared
from harness.kernels.image import Images
from harness.kernels.kernel import Kernel
from harness.kernels.lock import locked
from harness.kernels.result import Result, describe
from harness.kernels.store import Store
from harness.kernels.tools import cache_root
from harness.kernels.watch import Limits, Watcher
from tests.junit import JUNIT

PATIENT = Limits(boot=30, silence=30, whole=30)
DONE = "echo '1 up' >$S/progress; echo 0 >$S/status"


@pytest.fixture
def victim(tmp_path):
    """What of the host's a guest would like to reach."""
    path = tmp_path / "victim"
    (path / "empty" / "inner").mkdir(parents=True)
    (path / "file").write_text("secret")
    return path


def untouched(victim):
    found = sorted(str(path.relative_to(victim)) for path in victim.rglob("*"))
    return found == ["empty", "empty/inner", "file"] and (victim / "file").read_text() == "secret"


class NoImages(Images):
    def of_host(self):
        return nullcontext(self.root / "host.ext4")


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """A campaign whose guest is a shell script; `$S` is what it shares."""

    def run(script):
        directory = tmp_path / "results"
        directory.mkdir()
        made = Campaign(None, NoImages(tmp_path), directory, said.append)
        found = Kernel("6", "6-test", "6", tmp_path / "image", None, "a test")
        made.results.append(Result("6", kernel=found))
        made._fetcher = type("Fetcher", (), {"store": Store(tmp_path / "kernels")})

        def prepare(kernel, machine, job, images, own, share):
            del kernel, machine, job, images, own
            return Prepared(["sh", "-c", f"S={shlex.quote(str(share))}; {script}"], share)

        monkeypatch.setattr(campaign, "prepare", prepare)
        monkeypatch.setattr(campaign, "build", lambda *_: None)
        machine = Machine(emulation("a test"))
        made.run(lambda _: Job(["true"], tmp_path), machine, 1, PATIENT)
        (result,) = made.results
        return result

    said = []
    run.said = said
    return run


@pytest.mark.parametrize(
    "name",
    [".summary", "summary.json", "output.txt", "junit.xml", "figures.json", "kernel.log", "status",
     "progress", "console.log", "full", "trouble", "results", "results/run-x.json"],
)  # fmt: skip
@pytest.mark.parametrize("to", ["file", "new", "."])
def test_no_link_of_a_guest_is_followed(ran, victim, name, to):
    target = shlex.quote(str(victim / to))
    above = "mkdir -p $S/results;" if "/" in name else ""
    result = ran(f"{DONE}; {above} rm -rf $S/{name}; ln -s {target} $S/{name}")
    assert untouched(victim)
    assert not [path for path in result.directory.rglob("*") if path.is_symlink()]
    assert json.loads((result.directory / "summary.json").read_text())["asked"] == "6"
    assert any(f"such as {name}: removed" in line for line in ran.said)
    for read in (describe, cli._answers, kernels_exact._figures):
        assert "secret" not in str(read(result))


@pytest.mark.parametrize("name", ["progress", "console.log", "status", "output.txt", "junit.xml"])
def test_no_fifo_of_a_guest_is_waited_for(ran, name):
    began = time.monotonic()
    result = ran(f"{DONE}; rm -f $S/{name}; mkfifo $S/{name}; sleep 0.5")
    assert time.monotonic() - began < 20
    assert not [path for path in result.directory.rglob("*") if path.is_fifo()]


@pytest.mark.parametrize("name", ["progress", "status", "output.txt", "summary.json", "junit.xml"])
def test_directories_in_the_place_of_files(ran, name):
    result = ran(f"{DONE}; rm -f $S/{name}; mkdir -p $S/{name}/x")
    assert result.ended is not None
    assert result.exit_code in (0, GuestError.exit_code)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_what_a_guest_leaves_is_as_the_umask_says(ran, mask):
    before = os.umask(mask)
    try:
        result = ran(f"{DONE}; mkdir -m 0777 $S/d; echo x >$S/d/f; chmod 6777 $S/d/f; "
                     "echo x >$S/g; chmod 0 $S/g")  # fmt: skip
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in result.directory.rglob("*")}
    assert modes == {"d": 0o777 & ~mask, "f": 0o666 & ~mask, "g": 0o666 & ~mask,
                     "summary.json": 0o666 & ~mask}  # fmt: skip
    assert stat.S_IMODE(result.directory.stat().st_mode) == 0o777 & ~mask


def test_nobody_else_enters_while_a_guest_runs(ran):
    result = ran(f"{DONE}; stat -c %a $S >$S/mode")
    assert (result.directory / "mode").read_text() == "700\n"


def test_directories_without_end(ran):
    result = ran(f"{DONE}; cd $S; for n in $(seq 60); do mkdir d; cd d; done")
    assert isinstance(result.error, GuestError)
    assert "too many directories within each other" in str(result.error)


@pytest.mark.parametrize("text", ["²", "99999", "-1", "0\n0", "\uff11", ""])
def test_a_status_that_is_none(tmp_path, text):
    (tmp_path / "text").write_text(text)
    script = f"cp {tmp_path}/text {tmp_path}/status"
    ended = Watcher().run(Prepared(["sh", "-c", script], tmp_path), PATIENT)
    assert ended.status is None


def test_logs_without_end_are_judged_by_their_end(tmp_path):
    with (tmp_path / "console.log").open("wb") as log:
        log.truncate(1 << 40)
        log.seek(0, 2)
        log.write(b"\n[ 1.0] Kernel panic - not syncing: at the end\n")
    ended = Watcher().run(Prepared(["true"], tmp_path), PATIENT)
    assert ended.trouble == "panicked: Kernel panic - not syncing: at the end"
    assert max(map(len, ended.lines)) <= 1000


def test_stages_that_are_none_are_not_kept(tmp_path):
    script = f"for n in $(seq 50); do echo 1 made-up-$n; done >{tmp_path}/progress"
    assert list(Watcher().run(Prepared(["sh", "-c", script], tmp_path), PATIENT).seconds) == ["off"]


ENTITIES = "".join(
    f'<!ENTITY {name} "{40 * f"&{before};"}">'
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
BOMB = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]><testsuites>&h;</testsuites>'


@pytest.mark.parametrize(
    "text",
    ['<?xml version="1.0" encoding="nothing"?><a/>', '<?xml version="1.0" encoding="utf-7"?><a/>',
     '<?xml version="1.0" encoding="gb18030"?><a/>', BOMB],
)  # fmt: skip
def test_a_junit_file_that_is_none(tmp_path, text):
    (tmp_path / "junit.xml").write_text(text)
    assert outcomes.read(tmp_path / "junit.xml") == []


def test_a_junit_file_is_read_up_to_a_size(tmp_path):
    with (tmp_path / "junit.xml").open("w") as file:
        file.write(JUNIT.partition("</testsuite>")[0])
        file.truncate(1 << 40)
    assert outcomes.read(tmp_path / "junit.xml") == []


@pytest.mark.parametrize(
    "table", [[], 1, None, {"clsact": 1}, {"clsact": {"supported": True}}, {"clsact": None},
              {"clsact": {"supported": "yes", "detail": ""}},
              {"clsact": {"supported": True, "detail": 1}},
              {"clsact": {"supported": True, "detail": "", "more": 1}}],
)  # fmt: skip
def test_features_that_are_none(tmp_path, table):
    (tmp_path / "output.txt").write_text("{" * 50_000 if table is None else json.dumps(table))
    assert cli._answers(Result("6", directory=tmp_path)) == {}


def test_features_of_other_names_are_passed_over(tmp_path):
    (tmp_path / "output.txt").write_text(json.dumps({"\x1b": {"supported": True, "detail": ""}}))
    assert cli._answers(Result("6", directory=tmp_path)) == {}


GOOD = {"datapath": "bpf", "family": "ipv4", "testbed": "one_node", "figure": "round trip",
        "value": 22660.0, "unit": "instructions"}  # fmt: skip


@pytest.mark.parametrize(
    "changes", [{}, {"value": "1"}, {"value": float("nan")}, {"value": 0}, {"value": 10**400},
                {"value": True}, {"family": 4}, {"testbed": ["x"]}, {"more": 1}]
)  # fmt: skip
def test_figures_that_are_none(tmp_path, changes):
    (tmp_path / "figures.json").write_text(json.dumps([GOOD, {**GOOD, **changes}]))
    expected = [] if changes else [Figure(**GOOD)] * 2
    assert kernels_exact._figures(Result("6", directory=tmp_path)) == expected


# ------------------------------------------------------------------------- results and the cache


def test_results_go_through_no_other_user_s_link(tmp_path, victim, another):
    another.links(tmp_path / "results", victim)
    with pytest.raises(RecordError, match=r"\(results is a symbolic link of user"):
        room.new_directory(tmp_path / "results")
    assert untouched(victim)


def test_results_go_into_nothing_that_another_user_made_where_everybody_may(tmp_path, another):
    tmp_path.chmod(0o1777)
    (tmp_path / "results").mkdir()
    another.owns(tmp_path / "results")
    with pytest.raises(RecordError, match=r"\(results belongs to user \d+, and everybody may make"):
        room.new_directory(tmp_path / "results")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hostroute"


def test_a_cache_of_ours(cache):
    assert cache_root() == cache
    cache.mkdir(0o755)
    assert cache_root() == cache


def test_a_cache_that_others_may_change(cache, another, victim):
    another.links(cache, victim)
    with pytest.raises(KernelSourceError, match=r"\(hostroute is a symbolic link of user"):
        cache_root()
    cache.rename(cache.with_name("theirs"))
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(KernelSourceError, match=r"\(everybody may write there\): set XDG_CACHE_HO"):
        cache_root()
    cache.chmod(0o755)
    another.owns(cache)
    with pytest.raises(KernelSourceError, match=r"\(it belongs to user \d+\): set XDG_CACHE_HOME"):
        cache_root()


def test_a_lock_follows_no_link(tmp_path, victim):
    (tmp_path / ".lock-part").symlink_to(victim / "new")
    with pytest.raises(KernelSourceError, match="cannot be written"), locked(tmp_path / "part"):
        pass
    assert untouched(victim)
