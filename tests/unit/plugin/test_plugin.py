# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin, as far as it needs no root."""

import os
from types import SimpleNamespace

import pytest

from harness.datapath.catalogue import CATALOGUE
from harness.plugin import prerequisites, wrong_legs
from harness.plugin.parameters import catalogue_id
from harness.plumbing.errors import PrivilegeError
from harness.watch.legs import LegTable
from tests.support.run_cli import end, pytest_of, start

#: An entry that no test asserts yet, and why.
LATER = next((name, entry.later) for name, entry in CATALOGUE.items() if entry.later)


def test_a_tests_name_says_what_it_asserts():
    assert catalogue_id("test_hr07_legs_same_node[bpf-ipv4]") == "HR-07"
    assert catalogue_id("test_legs") is None
    assert catalogue_id("test_mutant_is_caught[x-test_hr07_ping-ipv4]") is None


def test_the_catalogue_is_whole():
    found = list(CATALOGUE)
    assert found[:48] == [f"HR-{number:02}" for number in range(1, 49)]
    # Of the full datapath those that are built.
    assert found[48:] == sorted(set(found[48:]))
    assert set(found[48:]) <= {f"HR-{number}" for number in range(49, 88)}
    assert all(len(entry.title) <= 57 for entry in CATALOGUE.values())


def test_wrong_legs_are_said_in_one_line_whichever_side_they_stand_on():
    config = SimpleNamespace(stash=pytest.Stash())
    wrong_legs.pytest_configure(config)
    seen = LegTable.parse("a:x > request")

    def said(op, left, right):
        return wrong_legs.pytest_assertrepr_compare(config, op, left, right)

    for left, right in ((seen, "a:x < request"), ("a:x < request", seen)):
        assert said("==", left, right) == [
            "the legs seen are not the legs expected: 1 missing, 1 extra"
        ]
    assert said("!=", seen, "a:x < request") is None
    assert said("==", "a", "b") is None


def test_the_header_says_when_the_status_is_not_known(monkeypatch, pytestconfig):
    def refuse():
        raise PrivilegeError("not root (uid 1)", "use sudo")

    monkeypatch.setattr(prerequisites, "host_routing_status", refuse)
    lines = prerequisites.pytest_report_header(pytestconfig)
    assert lines[-1] == "host routing: not known (not root (uid 1): use sudo)"


def test_unit_tests_need_no_root():
    """As another user when this is root: what asks for a machine would end the run with 10."""
    become = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps",
              "+dac_read_search", "--ambient-caps", "+dac_read_search", "--")  # fmt: skip
    prefix = become if os.geteuid() == 0 else ()
    run = end(start((*prefix, *pytest_of("-q", "tests/unit/plumbing/test_errors.py"))))
    assert run.code == 0, run.text


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--datapath", "bpf,bfp"), "datapath 'bfp' is unknown: use legacy, bpf, "),
        (("--datapath", ","), "--hr-datapath ',' names none: use legacy, bpf, "),
        (("--hr", "HR-07,HR-99"), "--hr 'HR-99' is not in the catalogue: use ids of docs/"),
        (("--hr", ","), "--hr ',' names no entry of the catalogue: use ids of docs/"),
        (("--hr", f"07,{LATER[0]}"), f"--hr '{LATER[0]}': {LATER[1]}: name another"),
        (("--legacy-services", "20001"), "legacy_services=20001 is not between 0 and 20000"),
        (
            ("--pod-device", "veth", "--datapath", "bpf-netkit"),
            "datapath 'bpf-netkit' cannot be attached to pod_device 'veth': use netkit or ",
        ),
    ],
)
def test_an_unknown_option_value_ends_the_run_before_it_begins(option, words):
    run = end(start(pytest_of("-q", *option, "tests/unit/plumbing/test_errors.py")))
    assert run.code == 13
    assert run.text.startswith("Exit: hostroute: ")
    assert words in run.text
    assert len(run.text.splitlines()) == 1


def test_what_measures_takes_no_device_for_its_pods():
    arguments = ("-q", "-m", "bench", "--pod-device", "netkit", "testbeds/one_node")
    run = end(start(pytest_of(*arguments)))
    assert run.code == 13
    assert "hostroute: --hr-pod-device is for conformance" in run.text
    assert "Traceback" not in run.text


def test_what_measures_takes_no_datapath():
    arguments = ("-q", "-m", "bench", "--datapath", "bpf", "testbeds/one_node")
    run = end(start(pytest_of(*arguments)))
    assert run.code == 13
    assert "hostroute: --hr-datapath is for conformance" in run.text
    assert "use --hr-arms legacy,bpf" in run.text
    assert "Traceback" not in run.text


FOREIGN = """
def test_hr07_legs(hr_observed): pass
def test_hr94_mistyped(hr_observed): assert 1 == 2
def test_hr10_payroll(): pass
"""


def test_a_strict_project_of_another_may_load_the_plugin(tmp_path):
    """Its ids too: a failure that the catalogue does not know is in the matrix all the same."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["pytest_hostroute"]\n')
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "test_it.py").write_text(FOREIGN)
    strict = (
        "--rootdir",
        str(tmp_path),
        "-c",
        str(tmp_path / "pyproject.toml"),
        "--strict-markers",
    )
    run = end(start(pytest_of("-q", "-W", "error", *strict, str(tmp_path))))
    assert run.code == pytest.ExitCode.TESTS_FAILED, run.text
    rows = [line.split() for line in run.text.splitlines() if line.startswith("HR-")]
    assert [row[0] for row in rows] == ["HR-07", "HR-94"]
    assert rows[1][1:5] == ["not", "in", "the", "catalogue"]
    assert rows[1][-2:] == ["1", "FAILED"]


def test_pause_needs_the_terminal():
    run = end(start(pytest_of("-q", "--pause", "tests/unit/plumbing/test_errors.py")))
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "--hr-pause needs the terminal: add -s" in run.text
    assert "Traceback" not in run.text


def test_tests_are_not_shared_out(tmp_path):
    """As `pytest -n 2` leaves the options when pytest-xdist is there."""
    (tmp_path / "shares_out.py").write_text(
        "import pytest\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_cmdline_main(config):\n"
        "    config.option.dist = 'load'\n",
        encoding="utf-8",
    )
    path = {"PYTHONPATH": str(tmp_path)}
    run = end(start(pytest_of("-q", "-p", "shares_out", "testbeds/one_node"), path))
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "tests cannot be shared out by pytest-xdist" in run.text
    assert "leave out -n and --dist" in run.text
    assert "Traceback" not in run.text


@pytest.mark.parametrize("asked", ["HR-10,HR-46", "10 , hr46"])
def test_entries_of_the_catalogue_are_selected(asked):
    """Nothing else is, tests that assert none neither."""
    paths = ("testbeds/one_node", "tests/unit/plumbing/test_errors.py")
    run = end(start(pytest_of("-q", "--collect-only", "--hr", asked, *paths)))
    assert run.code == 0, run.text
    found = {catalogue_id(line) for line in run.out.splitlines() if "::" in line}
    assert found == {"HR-10", "HR-46"}
