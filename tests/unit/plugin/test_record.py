# SPDX-License-Identifier: Apache-2.0
"""The record of a pytest run: what became of every assertion, however the run ends."""

import json
import signal

import pytest

from harness import results
from harness.plumbing.errors import RecordError
from tests.support import records
from tests.support.run_cli import end, pytest_of, start

OUTCOMES = """
import pytest

@pytest.mark.datapaths("bpf", "legacy")
def test_hr37_passes(datapath, family, hr_observed):
    hr_observed("mark", 0x77 if datapath.name == "bpf" else 0)
    hr_observed("kept", datapath.name == "bpf")

def test_hr07_fails(hr_observed):
    assert [1] == [2], "the legs seen are not\\nthe legs expected"

def test_hr08_skips(hr_observed):
    pytest.skip("no such hook before 5.16")

@pytest.fixture
def broken():
    raise OSError("the wire is cut")

@pytest.fixture
def breaks():
    yield
    raise OSError("the wire was cut")

def test_hr09_has_no_fixture(hr_observed, broken): pass
def test_hr10_loses_its_fixture(hr_observed, breaks): pass
def test_hr11_fails_and_loses_its_fixture(hr_observed, breaks): assert False, "first"

@pytest.mark.control
def test_hr12_is_a_control(hr_observed): pass

def test_of_nothing_in_the_catalogue(): pass
"""
MEASURES = """
import json
from pathlib import Path
import pytest
from msgspec import convert
from harness.plugin.record import draft
from harness.results import Comparison

@pytest.fixture(scope="session", autouse=True)
def measuring(request):
    found = draft(request.config)
    found.seed = SEED
    text = Path(__file__).with_name("comparisons.json").read_text()
    found.comparisons += convert(json.loads(text), list[Comparison])
    yield
    found.summary = []  # the run's last fixture to go has its say too
"""


@pytest.fixture
def run(tmp_path):
    """A function that runs pytest on a test module; its records go to tmp_path/results."""

    def child(module, *options, directory="one_node", **environment):
        folder = tmp_path / directory
        folder.mkdir(exist_ok=True)
        (folder / "test_child.py").write_text(module, encoding="utf-8")
        arguments = pytest_of("-p", "pytest_hostroute", *options, str(folder), rootdir=tmp_path)
        return end(start(arguments, environment))

    return child


def records_of(tmp_path):
    found = sorted((tmp_path / "results").glob("*")) if (tmp_path / "results").exists() else []
    return [results.read(path) for path in found]


def measured(tmp_path, seed="7"):
    """A conftest.py that adds a comparison, as the benchmarks' fixtures do."""
    folder = tmp_path / "one_node"
    folder.mkdir(exist_ok=True)
    (folder / "comparisons.json").write_text(json.dumps([records.comparison(builds=2)]))
    (folder / "conftest.py").write_text(MEASURES.replace("SEED", seed))


def test_every_assertion_is_in_the_record_with_its_outcome(run, tmp_path):
    ended = run(OUTCOMES, "-q", "--hr-record")
    assert ended.code == 1
    (found,) = records_of(tmp_path)
    entries = {entry.test.split("::")[1]: entry for entry in found.conformance}
    assert {name: (e.id, e.outcome, e.reason) for name, e in entries.items()} == {
        "test_hr37_passes[bpf-ipv4]": ("HR-37", "passed", ""),
        "test_hr37_passes[bpf-ipv6]": ("HR-37", "passed", ""),
        "test_hr37_passes[legacy-ipv4]": ("HR-37", "passed", ""),
        "test_hr37_passes[legacy-ipv6]": ("HR-37", "passed", ""),
        "test_hr07_fails": ("HR-07", "failed", "AssertionError: the legs seen are not"),
        "test_hr08_skips": ("HR-08", "skipped", "no such hook before 5.16"),
        "test_hr09_has_no_fixture": ("HR-09", "error", "OSError: the wire is cut"),
        "test_hr10_loses_its_fixture": ("HR-10", "error", "OSError: the wire was cut"),
        "test_hr11_fails_and_loses_its_fixture": ("HR-11", "failed", "first: assert False"),
    }
    entry = entries["test_hr37_passes[bpf-ipv6]"]
    assert (entry.testbed, entry.datapath, entry.family) == ("one_node", "bpf", "ipv6")
    assert entry.observed == {"mark": 0x77, "kept": True}
    assert entries["test_hr37_passes[legacy-ipv4]"].observed == {"mark": 0, "kept": False}
    assert entries["test_hr08_skips"].datapath is entries["test_hr08_skips"].family is None
    assert (found.partial, found.comparisons, found.seed) == (None, [], None)
    assert found.command[:1] == ["pytest"]
    assert "--hr-record" in found.command
    assert found.started <= found.ended
    assert f"record: {tmp_path}/results/{found.id}.json" in ended.out


def test_a_test_outside_a_testbeds_folder_has_no_testbed(run, tmp_path):
    run("def test_hr44_no_splat(hr_observed): pass", "--hr-record", directory="elsewhere")
    (found,) = records_of(tmp_path)
    assert found.conformance[0].testbed is None


def test_what_is_observed_must_fit_into_a_record(run):
    ended = run('def test_hr07_x(hr_observed):\n    hr_observed("legs", [1])', "-q", "--hr-record")
    assert ended.code == 1
    assert (
        "TypeError: hr_observed('legs'): [1] is not text, a number, a boolean or None" in ended.text
    )


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("def test_hr07_x(hr_observed): pass", ()),
        ("def test_of_nothing(): pass", ("--hr-record",)),
        ("def test_hr07_x(hr_observed): pass", ("--hr-record", "--collect-only")),
    ],
    ids=["not asked for", "nothing asserted", "nothing run"],
)
def test_no_record(run, tmp_path, module, options):
    ended = run(module, *options)
    assert ended.code == 0, ended.text
    assert "run-" not in ended.text
    nothing = "none: no test of this run asserts an entry of the catalogue" in ended.out
    assert nothing == ("test_of_nothing" in module)
    assert not (tmp_path / "results").exists()


def test_what_was_measured_is_recorded_without_being_asked_for(run, tmp_path):
    measured(tmp_path)
    ended = run("def test_hr07_x(hr_observed): pass", "--hr-results", "kept/here")
    assert ended.code == 0, ended.text
    (path,) = (tmp_path / "kept" / "here").iterdir()
    found = results.read(path)
    assert (found.seed, found.partial, len(found.comparisons)) == (7, None, 1)
    assert [entry.id for entry in found.conformance] == ["HR-07"]


BROKEN_OFF = """
def test_hr07_first(hr_observed): pass
def test_hr08_second(hr_observed):
    {}
def test_hr10_third(hr_observed): pass
"""


@pytest.mark.parametrize(
    ("how", "options", "code", "reason"),
    [
        ("raise KeyboardInterrupt", (), 2, "interrupted by Ctrl-C: 2 of 3 tests were not run"),
        ("import os; os.kill(os.getpid(), 2)", (), 2, "interrupted by Ctrl-C: "),
        ("import os; os.kill(os.getpid(), 15)", (), 2, "ended by SIGTERM: 2 of 3 tests were not"),
        ("import os; os.kill(os.getpid(), 1)", (), 2, "ended by SIGHUP: 2 of 3 tests were not"),
        ("import pytest; pytest.exit('not root', 10)", (), 10, "not root: 2 of 3 tests were not"),
        ("assert 0", ("-x",), 1, "stopping after 1 failures: 1 of 3 tests were not run"),
        ("assert 0", (), 1, None),
    ],
    ids=["KeyboardInterrupt", "SIGINT", "SIGTERM", "SIGHUP", "pytest.exit", "-x", "to the end"],
)
def test_a_run_that_is_broken_off_is_recorded_and_marked(run, tmp_path, how, options, code, reason):
    measured(tmp_path)
    ended = run(BROKEN_OFF.format(how), "--hr-record", *options)
    assert ended.code == code, ended.text
    (found,) = records_of(tmp_path)
    assert len(found.comparisons) == 1
    assert found.conformance[0].outcome == "passed"
    assert f"record: {tmp_path}" in ended.text
    if reason is None:
        assert found.partial is None
    else:
        assert found.partial.startswith(reason)


def test_a_signal_while_the_record_is_written_does_not_lose_it(run, tmp_path):
    with (tmp_path / "conftest.py").open("a") as file:
        file.write(
            "\n\nimport os, signal\nfrom harness import results\nwrite = results.write\n"
            "def write_and_be_hit(*arguments):\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
            "    os.kill(os.getpid(), signal.SIGTERM)\n"
            "    return write(*arguments)\n"
            "results.write = write_and_be_hit\n"
        )
    ended = run("def test_hr07_x(hr_observed): pass", "--hr-record")
    assert ended.code == 2, ended.text
    (found,) = records_of(tmp_path)
    assert found.conformance[0].outcome == "passed"
    assert found.partial is None
    assert f"record: {tmp_path}" in ended.text


RAISES = """
import errno, os
import pytest
from harness.plumbing.errors import HarnessError
from harness.plugin.record import at_the_end

def pytest_configure(config):
    at_the_end(config, lambda draft: setattr(draft(), "seed", 8))

@pytest.hookimpl({order})
def {hook}():
    {how}
    {then}
"""
RAISED = {
    "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))": (1, "No space left on device"),
    "raise HarnessError('no', 'yes')": (1, "HarnessError: no: yes"),
    "pytest.exit('enough', 3)": (3, "Exit: enough"),
    "raise KeyboardInterrupt": (130, "KeyboardInterrupt"),
}


@pytest.mark.parametrize(
    ("how", "order"),
    [
        *((how, "tryfirst=True") for how in RAISED),
        (next(iter(RAISED)), "trylast=True"),
        (next(iter(RAISED)), "wrapper=True, tryfirst=True"),
    ],
)
def test_another_plugin_that_raises_at_the_end_loses_no_record(run, tmp_path, how, order):
    measured(tmp_path)
    then = "yield" if "wrapper" in order else ""
    text = RAISES.format(hook="pytest_sessionfinish", how=how, order=order, then=then)
    (tmp_path / "conftest.py").write_text(text)
    ended = run("def test_hr07_x(hr_observed): pass", "--hr-record")
    code, words = RAISED[how]
    assert ended.code in (code, -signal.SIGINT if code == 130 else code), ended.text
    assert words in ended.text
    (found,) = records_of(tmp_path)
    assert (found.seed, found.partial, len(found.comparisons)) == (8, None, 1)
    assert [entry.outcome for entry in found.conformance] == ["passed"]
    assert ended.text.count(f"record: {tmp_path}/results/{found.id}.json") == 1


@pytest.mark.parametrize(
    "hook", ["pytest_unconfigure", "pytest_terminal_summary", "pytest_keyboard_interrupt"]
)
def test_nor_does_one_that_raises_in_another_hook(run, tmp_path, hook):
    text = RAISES.format(hook=hook, how="raise OSError('no')", order="tryfirst=True", then="")
    (tmp_path / "conftest.py").write_text(text)
    ended = run(BROKEN_OFF.format("raise KeyboardInterrupt"), "--hr-record")
    assert "OSError: no" in ended.text
    (found,) = records_of(tmp_path)
    assert found.partial == "interrupted by Ctrl-C: 2 of 3 tests were not run to their end"
    assert ended.text.count(f"record: {tmp_path}/results/{found.id}.json") == 1


def test_nor_does_a_full_disk_of_junits(run, tmp_path):
    measured(tmp_path)
    ended = run("def test_hr07_x(hr_observed): pass", "--hr-record", "--junitxml=/dev/full")
    assert ended.code == 1
    assert "No space left on device" in ended.err
    (found,) = records_of(tmp_path)
    assert (found.partial, len(found.comparisons)) == (None, 1)
    assert f"record: {tmp_path}/results/{found.id}.json" in ended.text


def test_nor_does_a_fixture_of_a_stopped_run_that_raises(run, tmp_path):
    """pytest takes it down in the hook in which the record is written."""
    measured(tmp_path)
    with (tmp_path / "one_node" / "conftest.py").open("a") as file:
        file.write('    found.seed = 9\n    raise OSError("the wire was cut")\n')
    ended = run(BROKEN_OFF.format("import pytest; pytest.exit('enough', 3)"))
    assert "OSError: the wire was cut" in ended.text
    (found,) = records_of(tmp_path)
    assert (found.seed, len(found.comparisons)) == (9, 1)
    assert found.partial.startswith("enough: 2 of 3")
    assert f"record: {tmp_path}/results/{found.id}.json" in ended.text


def test_what_fails_of_an_interrupt_is_no_failure(run, tmp_path):
    """A child dies of the same Ctrl-C, and the harness sees that before the interrupt strikes."""
    ended = run(BROKEN_OFF.format("import os; os.kill(os.getpid(), 2); assert 0"), "--hr-record")
    assert ended.code == 2, ended.text
    (found,) = records_of(tmp_path)
    assert [entry.id for entry in found.conformance] == ["HR-07"]
    assert found.partial.startswith("interrupted by Ctrl-C: ")


def test_sigkill_leaves_no_half_record(run, tmp_path):
    measured(tmp_path)
    ended = run(BROKEN_OFF.format("import os; os.kill(os.getpid(), 9)"), "--hr-record")
    assert ended.code == -signal.SIGKILL
    assert records_of(tmp_path) == []


def test_results_that_cannot_be_written_are_refused_before_the_run(run, tmp_path):
    (tmp_path / "taken").write_text("")
    ended = run("def test_hr07_x(hr_observed): pass", "--hr-results", "taken/below")
    assert ended.code == RecordError.exit_code
    assert ended.text == (
        f"Exit: hostroute: records cannot be written to {tmp_path}/taken/below (Not a directory): "
        "name a directory that can be written: --hr-results=DIR\n"
    )


def test_what_measures_is_refused_before_it_does_where_no_record_can_be_kept(run, tmp_path):
    (tmp_path / "results").write_text("")
    ended = run(
        "import pytest\n@pytest.mark.bench\ndef test_it(hr_observed):\n    print('measured')\n",
        "-s",
        "-m",
        "bench",
    )
    assert ended.code == RecordError.exit_code
    assert "records cannot be written to" in ended.text
    assert "measured" not in ended.out
    assert "Traceback" not in ended.text


def test_a_directory_called_control_makes_no_controls(run, tmp_path):
    ended = run("def test_hr07_x(hr_observed): assert 0", "--hr-record", directory="control")
    assert ended.code == 1
    (found,) = records_of(tmp_path)
    assert [entry.outcome for entry in found.conformance] == ["failed"]
    assert "1 FAILED" in ended.text


def test_results_that_can_no_longer_be_written_are_kept_elsewhere(run, tmp_path):
    measured(tmp_path)
    refuge = tmp_path / "refuge"
    refuge.mkdir()
    taken = "from pathlib import Path\n\ndef test_it(request):\n" \
            "    (request.config.rootpath / 'results').write_text('')\n"  # fmt: skip
    ended = run(taken, "-p", "no:tmpdir", TMPDIR=str(refuge))
    assert ended.code == RecordError.exit_code
    (kept,) = refuge.glob("run-*.json")
    assert len(results.read(kept).comparisons) == 1
    assert f"it was kept as {kept}" in ended.out
    assert "Traceback" not in ended.text


def test_a_failure_is_not_hidden_by_a_record_that_is_not_valid(run, tmp_path):
    measured(tmp_path, seed="'x'")
    for module, code in (("def test_it(): pass", 17), ("def test_it(): assert 0", 1)):
        ended = run(module)
        assert ended.code == code
        assert "$.seed: is a text" in ended.out
    kept = list((tmp_path / "results").iterdir())
    assert [path.name.endswith(".invalid.json") for path in kept] == [True, True]
