# SPDX-License-Identifier: Apache-2.0
"""A run over several kernels: one that fails does not cost the others their results."""

import json
from contextlib import nullcontext

import pytest

from harness.cli import kernels_guests as cli
from harness.datapath.probes import Probe
from harness.kernels import Campaign, Job, Machine, fleet, preflight
from harness.kernels.accelerator import emulation
from harness.kernels.image import Images
from harness.kernels.kernel import Kernel
from harness.kernels.records import Found
from harness.kernels.result import Result, describe
from harness.kernels.store import Store
from harness.kernels.supervisor import Ended
from harness.plumbing.errors import (
    FAILED_ON_KERNEL,
    GuestError,
    KernelError,
    KernelSourceError,
    RecordError,
)
from harness.results import ACCELERATOR_VARIABLE
from tests.support.guests import leave_record, outcome

GOOD = Ended(0, "", (), {"run": 5.0, "start": 2.0})


def kernel(name, tmp_path):
    return Kernel(name, f"{name}-test", name, tmp_path / "image", None, "a test")


class FakeWatcher:
    """Runs guests by name: what running one returns or raises is in `known`."""

    def __init__(self, known):
        self.known, self.stopped = known, False

    def run(self, guest, *_):
        asked, share = guest
        what = self.known[asked]
        if isinstance(what, BaseException):
            raise what
        if what.status is not None:
            leave_record(share)
        return what


class NoImages(Images):
    def of_host(self):
        return nullcontext(self.root / "host.ext4")


@pytest.fixture
def boots(monkeypatch, tmp_path):
    """Campaigns whose guests are what the test says: kernel → what running it returns or raises."""
    known = {}

    def find(asked, *_):
        if isinstance(known.get(asked), KernelSourceError):
            raise known[asked]
        return kernel(asked, tmp_path)

    def check(found):
        if isinstance(known.get(found.asked), KernelError):
            raise known[found.asked]

    monkeypatch.setattr(fleet, "find", find)
    monkeypatch.setattr(fleet.modules, "check", check)

    def prepare(found, machine, job, *rest):
        environments.append(job.environment)
        return found.asked, rest[-1]

    environments = []
    monkeypatch.setattr(fleet, "prepare", prepare)
    monkeypatch.setattr(fleet, "Watcher", lambda: FakeWatcher(known))
    monkeypatch.setattr(fleet, "build", lambda paths, *_: built.append(set(paths)))
    built = []

    def make(**kernels):
        known.update({name.replace("_", "."): what for name, what in kernels.items()})
        directory = tmp_path / "results"
        directory.mkdir()
        fetcher = type("fetcher", (), {"store": Store(tmp_path / "kernels")})()
        said = []
        made = Campaign(fetcher, NoImages(tmp_path / "images"), directory, said.append)
        made.said, made.environments, made.built = said, environments, built
        made.resolve(list(known))
        return made

    return make


def go(made, tmp_path, jobs=2):
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    made.run(lambda _: Job(["true"], project), Machine(emulation("a test")), jobs)


def test_files_that_a_job_reads_are_in_the_image(boots, tmp_path):
    made = boots(k6_1=GOOD)
    mine = tmp_path / "elsewhere" / "mine.toml"
    job = Job(["true"], tmp_path / "project", files=(mine,))
    made.run(lambda _: job, Machine(emulation("a test")), 1)
    assert [mine in paths for paths in made.built] == [True]


def test_one_kernel_that_fails_leaves_the_others_their_results(boots, tmp_path):
    made = boots(
        k5_10=GOOD, k6_1=KernelSourceError("no such kernel"), k6_2=KernelError("no veth"),
        k6_12=Ended(None, "panicked: x", ("line",), {}), k6_18=GuestError("no room"),
        k7=Ended(1, "", (), {"run": 9.0}), k8=OSError(28, "No space left on device"),
    )  # fmt: skip
    go(made, tmp_path)
    assert {result.name: result.exit_code for result in made.results} == {
        "k5.10": 0, "k6.1": 22, "k6.2": 12, "k6.12": 23, "k6.18": 23, "k7": FAILED_ON_KERNEL,
        "k8": 23,
    }  # fmt: skip
    whole = {result.name for result in made.results if result.found.tests}
    assert whole == {"k5.10", "k7"}
    summary = json.loads((tmp_path / "results" / "k6.12-test" / "summary.json").read_text())
    assert (summary["trouble"], summary["lines"]) == ("panicked: x", ["line"])
    assert cli.exit_code(made.results) == 22
    assert any(line.startswith("k6.12: panicked: x") for line in made.said)


@pytest.mark.parametrize(("at_once", "batch"), [(1, "results"), (2, "")])
def test_runs_share_a_batch_when_they_did_not_run_beside_each_other(
    boots, tmp_path, at_once, batch
):
    made = boots(k5_10=GOOD, k7=GOOD)
    go(made, tmp_path, at_once)
    assert [each["HOSTROUTE_BATCH"] for each in made.environments] == [batch, batch]


def test_the_exit_code_of_tests_that_failed(boots, tmp_path):
    made = boots(k5_10=GOOD, k7=Ended(1, "", (), {}))
    go(made, tmp_path)
    assert cli.exit_code(made.results) == FAILED_ON_KERNEL


def test_a_guest_is_told_how_it_runs_for_its_records(boots, tmp_path):
    """Of times under emulation a report says that they mean nothing elsewhere."""
    made = boots(k6=GOOD)
    go(made, tmp_path)
    (told,) = made.environments
    assert told[ACCELERATOR_VARIABLE] == "emulation"


def test_features_are_read_whatever_else_a_guest_says(tmp_path):
    result = Result("k6", kernel("k6", tmp_path), directory=tmp_path)
    answer = {"supported": True, "detail": "as probed"}
    (tmp_path / "output.txt").write_text(
        f"python3: warning: a locale\n{json.dumps({'clsact': answer})}\nand more\n"
    )
    assert cli._answers(result) == {"clsact": Probe(**answer)}
    (tmp_path / "output.txt").write_text("nothing\n")
    assert cli._answers(result) == {}
    assert cli._answers(Result("k6")) == {}


def test_one_kernel_by_two_names_runs_once(boots, tmp_path, monkeypatch):
    made = boots(k6=GOOD)
    monkeypatch.setattr(fleet, "find", lambda *_: kernel("k6", tmp_path))
    made.resolve(["k6.12"])
    assert [result.asked for result in made.results] == ["k6"]
    assert made.said[-1] == "k6.12: is k6-test, which runs already"


def test_kernels_of_one_version_have_columns_of_their_own(boots, tmp_path, monkeypatch):
    made = boots(k6=GOOD)
    for release in ("6.12.9+deb13", "6.12.9+deb12"):
        found = Kernel("6.12", release, "6.12.9", tmp_path / "image", None, "a test")
        monkeypatch.setattr(fleet, "find", lambda *_, found=found: found)
        made.resolve([release])
    assert [result.name for result in made.results] == ["k6", "6.12.9+deb13", "6.12.9+deb12"]


def test_a_kernel_is_described_in_a_line(tmp_path):
    result = Result("6.12", kernel("6.12", tmp_path), tmp_path, GOOD)
    result.found = Found((outcome("HR-07", "passed"), outcome("HR-07", "failed")))
    assert describe(result) == "1 ok 1 FAILED; 7 s, 2 s of them outside the tests"
    (tmp_path / "output.txt").write_text(
        "x\nExit: hostroute: the kernel has no clsact qdisc\n!!!\n"
    )
    result.ended, result.found = Ended(12, "", (), {}), Found()
    assert describe(result).startswith("exit 12 (Exit: hostroute: the kernel has no clsact qdisc)")


def test_guests_at_once_are_bounded_by_cores_and_memory(monkeypatch):
    monkeypatch.setattr(preflight, "_available_memory", lambda: 4000)
    monkeypatch.setattr(preflight.os, "sched_getaffinity", lambda _: set(range(8)))
    assert preflight.at_once(8, 1500) == 2
    assert preflight.at_once(1, 1500) == 1
    monkeypatch.setattr(preflight.os, "sched_getaffinity", lambda _: {0})
    assert preflight.at_once(8, 1500) == 1
    with pytest.raises(GuestError, match=r"4000 MiB of memory are free, a guest takes 9300"):
        preflight.at_once(1, 9000)


def test_free_memory_is_read():
    assert 10 < preflight._available_memory() < 1 << 30


def test_results_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match=r"results cannot be written to .*: use --results DIR"):
        preflight.new_directory(tmp_path / "file")
