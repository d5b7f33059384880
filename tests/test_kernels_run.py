# SPDX-License-Identifier: Apache-2.0
"""A run over several kernels: one that fails does not cost the others their results."""

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import harness
from harness.cli import kernels_exact as exact
from harness.cli import kernels_guests as cli
from harness.cli import main
from harness.datapath import features
from harness.datapath.features import FEATURES
from harness.datapath.probes import Probe
from harness.errors import (
    FAILED_ON_KERNEL,
    GuestError,
    KernelError,
    KernelSourceError,
    UnknownNameError,
)
from harness.kernels import Campaign, Job, Machine, campaign, files, outcomes, room, selection
from harness.kernels.accelerator import emulation
from harness.kernels.files import checkout, with_links
from harness.kernels.image import Images, build, digest
from harness.kernels.kernel import Kernel
from harness.kernels.outcomes import Outcome
from harness.kernels.result import Result, describe
from harness.kernels.store import Store
from harness.kernels.tools import run
from harness.kernels.watch import Ended

JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" tests="4">
<testcase classname="testbeds.one_node.test_legs" name="test_hr07_ping[bpf-ipv4]" time="1"/>
<testcase classname="testbeds.one_node.test_legs" name="test_hr07_ping[bpf-ipv6]" time="1">
<failure message="assert 1 == 2&#10;second line">trace</failure></testcase>
<testcase classname="testbeds.one_node.test_gateway" name="test_hr16_arp" time="1">
<skipped type="pytest.skip" message="since 6.6"/></testcase>
<testcase classname="testbeds.test_log" name="test_x"><error message="boom"/></testcase>
</testsuite></testsuites>
"""


def test_a_junit_file_is_read(tmp_path):
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT)
    legs = "testbeds/one_node/test_legs.py::"
    assert outcomes.read(path) == [
        Outcome(f"{legs}test_hr07_ping[bpf-ipv4]", "HR-07", "passed", ""),
        Outcome(f"{legs}test_hr07_ping[bpf-ipv6]", "HR-07", "failed", "assert 1 == 2"),
        Outcome(
            "testbeds/one_node/test_gateway.py::test_hr16_arp", "HR-16", "skipped", "since 6.6"
        ),
        Outcome("testbeds/test_log.py::test_x", "", "error", "boom"),
    ]


@pytest.mark.parametrize("text", [None, "<testsuites><testcase name=", ""])
def test_a_junit_file_that_is_missing_or_cut_off_has_nothing(tmp_path, text):
    path = tmp_path / "junit.xml"
    if text is not None:
        path.write_text(text)
    assert outcomes.read(path) == []


def outcome(identity, result):
    return Outcome("t", identity, result, "")


def test_assertions_are_rows_and_kernels_are_columns():
    columns = {
        "5.10.262": [outcome("HR-07", "passed"), outcome("HR-07", "failed"), outcome("", "passed")],
        "6.12.117": [outcome("HR-07", "passed"), outcome("HR-16", "skipped")],
        "7.3.4": [],
    }
    assert outcomes.table(columns, {"HR-07": "legs"}) == [
        "             5.10.262       6.12.117   7.3.4",
        "HR-07  legs  1 ok 1 FAILED  1 ok       .",
        "HR-16        .              1 skipped  .",
        "other tests  1 ok           .          .",
    ]


# --------------------------------------------------------------------------------------- selection


@pytest.mark.parametrize(
    "option",
    ["--pdb", "--pause", "--junitxml=x", "--results=/x", "--log-file=x", "--benchmark-json=x"],
)
def test_options_that_cannot_work_in_a_guest(tmp_path, option, monkeypatch):
    words = f"{option.partition('=')[0]} cannot work in a guest"
    with pytest.raises(UnknownNameError, match=words):
        selection.check([option], tmp_path, tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-k 'a b' {option}")  # a guest's pytest gets it too
    with pytest.raises(UnknownNameError, match=words):
        selection.check([], tmp_path, tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 'a b")
    with pytest.raises(UnknownNameError, match=r"PYTEST_ADDOPTS=.* has no end: No closing quot"):
        selection.check([], tmp_path, tmp_path)


@pytest.fixture
def project(tmp_path):
    """A project with one test."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (root / "test_it.py").write_text("def test_it(): pass\n")
    (root / "conftest.py").write_text(  # a guest's pytest makes a record
        "def pytest_addoption(parser): parser.addoption('--record', action='store_true')\n"
    )
    return root


def test_pytest_is_asked_on_the_host_first(project, tmp_path):
    bytecode = tmp_path / "bytecode"
    selection.check(["-k", "it"], project, bytecode)
    compiled = files.bytecode(project, bytecode)  # guests need not compile it
    (made,) = (path for path in compiled if path.name.startswith("test_it."))
    assert made.parent == project / "__pycache__"
    assert not made.exists()  # the checkout is as it was
    with pytest.raises(UnknownNameError, match=r"selects no test with -k none: look at -m and -k"):
        selection.check(["-k", "none"], project, bytecode)
    with pytest.raises(UnknownNameError, match=r"refuses --nope: .*unrecognized arguments: --nope"):
        selection.check(["--nope"], project, bytecode)
    (project / "test_it.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(UnknownNameError, match=r"refuses no arguments: ERROR|ModuleNotFoundError"):
        selection.check([], project, bytecode)


# ---------------------------------------------------------------------------------------- campaign

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
            (share / "junit.xml").write_text(JUNIT)
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

    monkeypatch.setattr(campaign, "find", find)
    monkeypatch.setattr(campaign.modules, "check", check)

    def prepare(found, machine, job, *rest):
        environments.append(job.environment)
        return found.asked, rest[-1]

    environments = []
    monkeypatch.setattr(campaign, "prepare", prepare)
    monkeypatch.setattr(campaign, "Watcher", lambda: FakeWatcher(known))
    monkeypatch.setattr(campaign, "build", lambda *_: None)

    def make(**kernels):
        known.update({name.replace("_", "."): what for name, what in kernels.items()})
        directory = tmp_path / "results"
        directory.mkdir()
        fetcher = type("fetcher", (), {"store": Store(tmp_path / "kernels")})()
        said = []
        made = Campaign(fetcher, NoImages(tmp_path / "images"), directory, said.append)
        made.said, made.environments = said, environments
        made.resolve(list(known))
        return made

    return make


def go(made, tmp_path, jobs=2):
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    made.run(lambda _: Job(["true"], project), Machine(emulation("a test")), jobs)


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
    whole = {result.name for result in made.results if result.outcomes}
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


def test_one_kernel_by_two_names_runs_once(boots, tmp_path, monkeypatch):
    made = boots(k6=GOOD)
    monkeypatch.setattr(campaign, "find", lambda *_: kernel("k6", tmp_path))
    made.resolve(["k6.12"])
    assert [result.asked for result in made.results] == ["k6"]
    assert made.said[-1] == "k6.12: is k6-test, which runs already"


def test_kernels_of_one_version_have_columns_of_their_own(boots, tmp_path, monkeypatch):
    made = boots(k6=GOOD)
    for release in ("6.12.9+deb13", "6.12.9+deb12"):
        found = Kernel("6.12", release, "6.12.9", tmp_path / "image", None, "a test")
        monkeypatch.setattr(campaign, "find", lambda *_, found=found: found)
        made.resolve([release])
    assert [result.name for result in made.results] == ["k6", "6.12.9+deb13", "6.12.9+deb12"]


def test_a_kernel_is_described_in_a_line(tmp_path):
    result = Result("6.12", kernel("6.12", tmp_path), tmp_path, GOOD)
    result.outcomes = [outcome("HR-07", "passed"), outcome("HR-07", "failed")]
    assert describe(result) == "1 ok 1 FAILED; 7 s, 2 s of them outside the tests"
    (tmp_path / "output.txt").write_text(
        "x\nExit: hostroute: the kernel has no clsact qdisc\n!!!\n"
    )
    result.ended, result.outcomes = Ended(12, "", (), {}), []
    assert describe(result).startswith("exit 12 (Exit: hostroute: the kernel has no clsact qdisc)")


# -------------------------------------------------------------------------------------------- room


def test_guests_at_once_are_bounded_by_cores_and_memory(monkeypatch):
    monkeypatch.setattr(room, "_available_memory", lambda: 4000)
    monkeypatch.setattr(room.os, "sched_getaffinity", lambda _: set(range(8)))
    assert room.at_once(8, 1500) == 2
    assert room.at_once(1, 1500) == 1
    monkeypatch.setattr(room.os, "sched_getaffinity", lambda _: {0})
    assert room.at_once(8, 1500) == 1
    with pytest.raises(GuestError, match=r"4000 MiB of memory are free, a guest takes 9300"):
        room.at_once(1, 9000)


def test_free_memory_is_read():
    assert 10 < room._available_memory() < 1 << 30


def test_results_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GuestError, match=r"results cannot be written to .*: use --results DIR"):
        room.new_directory(tmp_path / "file")


# ------------------------------------------------------------------------------------------ images


def test_links_on_the_way_are_kept(tmp_path):
    real = tmp_path / "real" / "python"
    real.parent.mkdir()
    real.write_text("x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "again").symlink_to(tmp_path / "link")
    found = list(with_links([tmp_path / "again" / "python"]))
    assert found == [tmp_path / "again", tmp_path / "link", real]


def test_a_checkout_is_the_projects_files(tmp_path):
    for name in ("a.py", "__pycache__/a.pyc", ".git/x", ".tox/y", "results/z", "env/pyvenv.cfg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert checkout(tmp_path) == [tmp_path / "a.py"]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "directory").mkdir(parents=True)
    (root / "directory").chmod(0o710)
    (root / "directory" / "file").write_text("contents")
    (root / "directory" / "link").symlink_to("file")
    (root / "large").write_bytes(bytes(3 << 20))
    return root


def test_an_image_holds_files_at_their_own_paths(tree, tmp_path):
    made = tmp_path / "image.ext4"
    paths = [*with_links([tree]), tree / "gone meanwhile"]
    build(paths, made, {tree / "new" / "name": tree / "directory" / "file"})

    def debugfs(command):
        return run(["/usr/sbin/debugfs", "-R", command, str(made)])

    assert debugfs(f"cat {tree}/directory/file") == "contents"
    assert debugfs(f"cat {tree}/new/name") == "contents"
    assert "Mode:  0710" in debugfs(f"stat {tree}/directory")
    assert "symlink" in debugfs(f"stat {tree}/directory/link")
    assert (tree / "large").stat().st_nlink == 1  # the host's own files are as they were
    assert not list(tmp_path.glob(".stage-*"))


def test_an_image_is_made_anew_when_a_file_changes(tree):
    paths = list(with_links([tree]))
    before = digest(paths)
    assert digest(paths) == before
    (tree / "directory" / "file").write_text("contents changed")
    assert digest(paths) != before


def test_no_room_for_an_image(tree, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(GuestError, match=r"cannot be made \(No space left on device\): make room"):
        build(list(with_links([tree])), tmp_path / "image.ext4")
    assert not list(tmp_path.glob(".stage-*"))


def test_images_are_cached_and_pruned(tree, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.kernels.image.files.needed", lambda: [tree])
    cache = Images(tmp_path / "images")
    with cache.of_host() as first:
        made = first.stat().st_ino
        assert cache.prune() == []  # it is in use
    with cache.of_host() as again:
        assert (again, again.stat().st_ino) == (first, made)
    (tmp_path / "images" / f".partial-{first.name}").touch()
    (tmp_path / "images" / f".stage-.partial-{first.name}-x").mkdir()
    assert sorted(cache.prune()) == sorted([first.name, f".partial-{first.name}"])
    assert not [path for path in (tmp_path / "images").iterdir() if ".lock" not in path.name]
    with cache.of_host() as third:
        assert third == first
        assert third.exists()


# ---------------------------------------------------------------------------------------- features


def test_the_table_of_features_says_since_when_and_how():
    for name, feature in FEATURES.items():
        assert name == feature.name
        assert feature.kind in ("helper", "flag", "hook")
        assert feature.first >= (4, 0)
        assert feature.how


def test_only_an_older_kernel_excuses():
    tcx = features.find("tcx")
    assert tcx.excused((6, 5))
    assert not tcx.excused((6, 6))
    assert not tcx.excused((7, 0))
    assert features.find("fib-mark").excused((6, 9))  # 6.10 is a later release than 6.9
    with pytest.raises(UnknownNameError, match=r"feature 'tcy' is unknown: use redirect_peer"):
        features.find("tcy")


def test_a_release_in_numbers():
    assert features.release("6.12.117+deb13-amd64") == (6, 12)
    assert features.release("5.10") == (5, 10)


def test_a_refused_probe_is_an_answer(monkeypatch):
    features.probe.cache_clear()

    def refuse():
        raise OSError(22, "Invalid argument", "0: (85) call\nunknown func#155\n")

    feature = features.FEATURES["redirect_peer"]
    monkeypatch.setitem(
        features.FEATURES, "redirect_peer",
        features.Feature(feature.name, feature.kind, feature.since, feature.how, refuse),
    )  # fmt: skip
    assert features.probe("redirect_peer") == Probe(False, "unknown func#155")
    features.probe.cache_clear()


def test_features_as_a_table(capsys):
    yes, no = Probe(True, ""), Probe(False, "")
    answers = dict.fromkeys(FEATURES, yes) | {"netkit": no, "tcx": no}
    cli._print_features({"6.1.192": answers, "6.12.9": answers, "7.3.4": {}})
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["feature"][-3:] == ["6.1.192", "6.12.9", "7.3.4"]
    assert lines["netkit"] == ["hook", "6.7", "-", "MISSING", "?"]
    assert lines["clsact"] == ["hook", "4.5", "yes", "yes", "?"]


def test_a_kernel_that_cannot_be_had_leaves_the_others_their_features(capsys):
    yes = dict.fromkeys(FEATURES, Probe(True, ""))
    cli._print_features({"6.12.9": yes, "./nope": {}, "vng:foo": {}, "99": {}})
    assert capsys.readouterr().out.splitlines()[1].split()[-4:] == ["yes", "?", "?", "?"]


# -------------------------------------------------------------------------------- the command line


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache of the test's own, without any kernel."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hostroute"


def test_list_of_an_empty_cache(cache, capsys):
    assert main(["kernels", "list"]) == 0
    assert capsys.readouterr().out.startswith("default set: 5.10 6.1 6.12 6.18 7\n")


def test_prune_removes_everything(cache, capsys):
    for name in ("kernels/.partial-6.1-x", "apt/state", "kernels/6.1", "images/bytecode"):
        (cache / name).mkdir(parents=True)
    (cache / "images" / "a.ext4").touch()
    assert main(["kernels", "prune"]) == 0
    assert "removed .partial-6.1-x\n" in capsys.readouterr().out
    assert {path.name for path in cache.rglob("*") if ".lock-" not in path.name} == {
        "kernels", "images"
    }  # fmt: skip


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_features_of_no_kernel_leave_no_results(cache, capsys, monkeypatch, tmp_path, json_):
    monkeypatch.setattr(cli, "check_tools", lambda: None)
    monkeypatch.setattr(cli, "at_once", lambda *_: 1)
    argv = ["features", "/none/bzImage", *json_, "--results", str(tmp_path / "results")]
    assert main(["kernels", *argv]) == 22
    assert not list((tmp_path / "results").iterdir())
    out = capsys.readouterr().out
    assert (json.loads(out) == {"/none/bzImage": {}}) if json_ else "since" in out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["path", "/none/bzImage"], 22, "there is no kernel image /none/bzImage"),
        (["prune", "6.1"], 22, "no kernel 6.1 is cached: cached are: none"),
        (["list", "--", "-m", "x"], 13, "`kernels list` takes nothing after --"),
        (["run", "--jobs", "0"], 2, "argument -j/--jobs: 0 is not at least 1"),
        (["path", "~nosuchuser/bzImage"], 22, "there is no user for ~nosuchuser/bzImage"),
        (["shell", "/none/bzImage"], 22, "there is no kernel image"),
    ],
)
def test_bad_input_is_one_line_and_a_code(cache, capsys, monkeypatch, argv, code, words):
    monkeypatch.setattr(cli, "check_tools", lambda: None)
    monkeypatch.setattr(cli.sys.stdin, "isatty", lambda: True, raising=False)
    try:
        found = main(["kernels", *argv])
    except SystemExit as end:
        found = end.code
    said = capsys.readouterr().err
    assert found == code
    assert len(said.splitlines()) == 1 + (argv[0] == "shell")
    assert words in said


def test_a_shell_in_an_unknown_testbed_boots_nothing(cache, capsys):
    assert main(["kernels", "shell", "6.12", "nope"]) == 13
    assert "testbed 'nope' is unknown" in capsys.readouterr().err


def test_a_shells_guest_gets_the_harness_and_not_the_directory_we_are_in(
    cache, monkeypatch, tmp_path
):
    class Fake:
        def __init__(self, *_):
            self.results = [Result("6.12")]

        def resolve(self, *_):
            pass

        def accelerator(self):
            return emulation("a test")

        def interact(self, job, _):
            seen.append(job)
            return Ended(7, "", (), {})

    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "Campaign", Fake)
    monkeypatch.setattr(cli, "check_tools", lambda: None)
    monkeypatch.setattr(cli, "at_once", lambda *_: 1)
    monkeypatch.setattr(cli.sys.stdin, "isatty", lambda: True, raising=False)
    assert main(["kernels", "shell", "6.12"]) == 7
    assert seen[0].directory == Path(harness.__file__).parents[1]


def test_a_figure_of_nothing_has_no_change():
    assert exact._cells([0.0, 10.0, None, 0.0]) == ["0", "10", ".", "0 (-100.0 %)"]


def test_what_follows_the_dashes_is_pytests(cache, monkeypatch):
    seen = {}

    def stop(words, *_):
        seen["words"] = words
        raise UnknownNameError("enough")

    monkeypatch.setattr(cli, "check_tools", lambda: None)
    monkeypatch.setattr(cli, "at_once", lambda *_: 1)
    monkeypatch.setattr(cli.selection, "check", stop)
    assert main(["kernels", "run", "6.1", "-j", "2", "--", "-m", "conformance", "-k", "x"]) == 13
    assert seen["words"] == ["-m", "conformance", "-k", "x"]
    assert main(["kernels", "run"]) == 13
    assert seen["words"] == ["-m", "conformance"]


def test_the_room_of_kernels_imports_no_pytest():
    program = "import sys, harness.kernels; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
