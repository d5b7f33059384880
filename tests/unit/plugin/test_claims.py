# SPDX-License-Identifier: Apache-2.0
"""Tests whose datapath declines what they rest on: not claimed, and nothing else."""

import pytest

from harness.datapath.catalogue import CATALOGUE
from harness.datapath.claims import CLAIMS, ClaimError
from harness.plugin.claims import check
from tests.support.foreign import Project
from tests.support.run_cli import ROOT, end, pytest_of, start

CORE = "01 02 03 04 07 08 10 12 14 15 18 27 33 44"
MARKED = """
import pytest

@pytest.fixture
def built(datapath):
    if datapath.name == "mine":
        raise OSError("built")

@pytest.mark.datapaths("mine", "bpf")
@pytest.mark.claims("time_exceeded")
def test_hr17_expired(datapath, family, hr_observed, built): pass
"""


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def rows(ended):
    """The matrix: id → cells, with single blanks."""
    lines = [line.split() for line in ended.out.splitlines() if line.startswith("HR-")]
    return {words[0]: " ".join(words[1:]) for words in lines}


def test_what_is_declined_is_not_claimed_before_anything_is_built(project):
    ended = project.run(MARKED, "-v")
    assert ended.code == 0, ended.text
    for family in ("ipv4", "ipv6"):
        assert f"test_hr17_expired[mine-{family}] NOT CLAIMED" in ended.out
        assert f"test_hr17_expired[bpf-{family}] PASSED" in ended.out
    assert ended.out.splitlines()[-1].strip(" =").startswith("2 passed, 2 not claimed in ")
    assert rows(ended)["HR-17"].endswith("2 ok 2 not claimed")


def test_what_is_claimed_is_tried(project):
    project.claims("time_exceeded=BOTH")
    ended = project.run(MARKED, "-v")
    assert ended.code == 1
    assert "test_hr17_expired[mine-ipv4] ERROR" in ended.out
    assert "ot claimed" not in ended.out.lower().replace("not claimed: answers", "")
    assert {test.outcome for test in project.record().conformance} == {"passed", "error"}


def test_a_claim_by_family_is_declined_for_the_others(project):
    project.claims("time_exceeded=frozenset([min(BOTH)])")
    ended = project.run(MARKED)
    assert ended.code == 1, ended.text
    outcomes = {test.family: (test.outcome, test.reason) for test in project.record().conformance
                if test.datapath == "mine"}  # fmt: skip
    assert outcomes == {
        "ipv4": ("error", "OSError: built"),
        "ipv6": ("not claimed", "time_exceeded = ipv6"),
    }


def test_a_letter_of_its_own(project):
    assert "test_child.py n" in project.run(MARKED).out


def test_skips_and_what_is_not_claimed_are_listed_apart(project):
    module = (
        MARKED
        + """

def test_hr16_skips(hr_observed): pytest.skip("no such device")
"""
    )
    ended = project.run(module, "-rs")
    lines = ended.out.splitlines()
    for family in ("ipv4", "ipv6"):
        assert f"NOT CLAIMED [1] mine: time_exceeded = {family} (HR-17)" in lines
    (skipped,) = [line for line in lines if line.startswith("SKIPPED")]
    assert skipped.endswith(": no such device")
    assert "NOT CLAIMED [" not in project.run(module).out


def test_it_is_a_skip_for_junit_and_has_the_claim(project):
    assert project.run(MARKED).code == 0
    cases = project.junit()
    (skipped,) = cases["test_hr17_expired[mine-ipv6]"].findall("skipped")
    assert skipped.attrib["message"] == "not claimed: time_exceeded = ipv6"
    assert cases["test_hr17_expired[bpf-ipv6]"].findall("skipped") == []


def test_the_record_has_the_claim_as_the_reason(project):
    assert project.run(MARKED).code == 0
    found = {(t.datapath, t.family): (t.outcome, t.reason) for t in project.record().conformance}
    assert found == {
        ("mine", "ipv4"): ("not claimed", "time_exceeded = ipv4"),
        ("mine", "ipv6"): ("not claimed", "time_exceeded = ipv6"),
        ("bpf", "ipv4"): ("passed", ""),
        ("bpf", "ipv6"): ("passed", ""),
    }


def test_the_exit_code_of_a_run_in_which_nothing_is_claimed(project):
    """As where all are skipped: tests were collected, and none failed."""
    ended = project.run(MARKED, "--hr-datapath", "mine")
    assert ended.code == 0, ended.text
    assert " 2 deselected, 2 not claimed in " in ended.out


SKIPPED = """
import pytest

def test_hr17_x(hr_observed):
    pytest.skip("not claimed: no, skipped")

@pytest.mark.datapaths("mine")
def test_hr16_not_marked(datapath, hr_observed): assert 0

@pytest.mark.claims("answers_arp")
@pytest.mark.datapaths("mine")
def test_hr16_of_another_family(datapath, hr_observed): pass

@pytest.mark.claims("answers_arp")
def test_hr16_without_a_datapath(hr_observed): pass

@pytest.mark.claims("answers_arp")
def test_not_ours(): pass

@pytest.mark.parametrize("datapath", ["mine"])
@pytest.mark.claims("answers_arp", "no such")
def test_with_a_datapath_of_its_own(datapath): pass
"""


def test_what_is_not_about_a_datapath_of_ours_is_left_alone(project):
    ended = project.run(SKIPPED)
    assert ended.code == 1, ended.text
    last = ended.out.splitlines()[-1]
    for words in ("1 failed", "3 passed", "1 skipped", "1 not claimed"):
        assert words in last
    outcomes = {test.test.split("::")[1]: test.outcome for test in project.record().conformance}
    assert outcomes == {
        "test_hr17_x": "skipped",
        "test_hr16_not_marked[mine]": "failed",
        "test_hr16_of_another_family[mine]": "not claimed",
        "test_hr16_without_a_datapath": "passed",
    }


def test_a_parameter_that_has_no_claims_is_left_alone(project):
    ended = project.run("""
from types import SimpleNamespace
import pytest

@pytest.mark.claims("answers_arp")
def test_hr16_x(request, hr_observed): pass

def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("datapath")
    metafunc.parametrize("datapath", [SimpleNamespace(name="bpf")], ids=["bpf"])
""")  # fmt: skip
    assert "1 passed" in ended.out, ended.text


@pytest.mark.parametrize(
    ("name", "marker", "words"),
    [
        ("test_hr17_x", '"no_such"', "no test can rest on claim 'no_such': use one of "),
        ("test_hr17_x", '"delivers"', "no test can rest on claim 'delivers': use one of "),
        ("test_of_nothing", '"delivers"', "no test can rest on claim 'delivers': use one of "),
        ("test_hr17_x", '"answers_arp"',
         "HR-17 does not rest on claim 'answers_arp': use one of "),
        ("test_hr07_x", '"answers_arp"', "HR-07 does not rest on claim 'answers_arp'; it is of the"
         " core, and every datapath that bypasses the stack must hold it: leave the marker out"),
        ("test_hr18_x", '"answers_arp"', "HR-18 does not rest on claim 'answers_arp'; it is of the"
         " core, and every datapath that bypasses the stack must hold it: use one of header_check"),
    ],
)  # fmt: skip
def test_a_test_rests_on_what_its_entry_rests_on(project, name, marker, words):
    module = f"import pytest\n\n@pytest.mark.claims({marker})\ndef {name}(hr_observed): pass\n"
    ended = project.run(module)
    assert ended.code == pytest.ExitCode.INTERRUPTED, ended.text
    assert f"{name}: {words}" in ended.out
    assert "Traceback" not in ended.text


def test_so_does_a_marker_of_a_parameter(project):
    module = """
import pytest

@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.claims("answers_arp"))])
def test_hr07_x(x, hr_observed): pass
"""
    ended = project.run(module)
    assert ended.code == pytest.ExitCode.USAGE_ERROR, ended.text
    assert "test_hr07_x[2]: HR-07 does not rest on claim 'answers_arp'" in ended.text
    assert "Traceback" not in ended.text


def test_a_marker_of_somebodys_conftest_counts(project):
    """So others can say what a suite that knows no claims rests on."""
    conftest = project.directory / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.claims("time_exceeded"))
"""
    )
    ended = project.run(MARKED.replace('@pytest.mark.claims("time_exceeded")', ""))
    assert "2 passed, 2 not claimed" in ended.out, ended.text


def test_a_malformed_header_may_be_declined_although_the_sums_are_core(project):
    module = MARKED.replace("hr17", "hr18").replace("time_exceeded", "header_check")
    assert "2 not claimed" in project.run(module).out


def test_the_core_is_what_no_row_of_a_claim_lists():
    core = {identity for identity, entry in CATALOGUE.items() if entry.core}
    assert core == {f"HR-{number}" for number in CORE.split()}
    declinable = {(claim.name, i) for claim in CLAIMS.values() if claim.declinable
                  for i in claim.ids if i in core}  # fmt: skip
    assert declinable == {("header_check", "HR-18"), ("big_tcp", "HR-33")}


LOOKS = """
import json
from dataclasses import replace
from harness.datapath import DATAPATHS, Claims

def pytest_hostroute_register(suites):
    for number, ways in enumerate(({ways})):
        name, claims = f"least-{{number}}", Claims(bypasses_stack=True, **ways)
        DATAPATHS.register(name, replace(DATAPATHS["bpf"], name=name, claims=claims))

def pytest_collection_finish(session):
    for item in session.items:
        found = dict(item.user_properties)
        if found.get("datapath", "").startswith("least") and "not claimed" not in found:
            print("asked:", found["datapath"], found["hr"])
"""
WAYS = [
    {
        "delivers": delivers,
        "attaches": "netkit" if delivers == "netkit" else "clsact",
        "forwards": forwards,
    }
    for delivers in ("lxc", "peer", "netkit")
    for forwards in ("redirect", "neigh")
]


def test_whoever_bypasses_the_stack_and_declines_all_else_is_asked_for_the_core(tmp_path):
    """No marker of the bundled suites deselects an entry of the core altogether."""
    ways = "".join(f"{each}, " for each in WAYS)
    (tmp_path / "looks.py").write_text(LOOKS.format(ways=ways), encoding="utf-8")
    arguments = pytest_of("-q", "-s", "-p", "looks", "-m", "conformance", "--collect-only",
                          str(ROOT / "testbeds"), rootdir=tmp_path)  # fmt: skip
    path = {"PYTEST_ADDOPTS": "", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    ended = end(start(arguments, path))
    assert ended.code == 0, ended.text[-2000:]
    asked = {tuple(line.split()[1:]) for line in ended.out.splitlines()
             if line.startswith("asked: ")}  # fmt: skip
    core = {identity for identity, entry in CATALOGUE.items() if entry.core}
    of_any = {"HR-44"}  # it judges the whole run's kernel log
    missing = {(f"least-{number}", identity) for number in range(len(WAYS))
               for identity in core - of_any} - asked  # fmt: skip
    assert missing == set()
    assert {"HR-21", "HR-45"} & {identity for _, identity in asked} == set()


@pytest.mark.parametrize("identity", [i for i, entry in CATALOGUE.items() if entry.core])
def test_no_claim_declines_the_core(identity):
    for claim in CLAIMS.values():
        if not (claim.declinable and identity in claim.ids):
            with pytest.raises(ClaimError):
                check([claim.name], identity)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("pass", "datapath 'mine' has no claims: give it a harness.datapath.Claims"),
        ("claims = {'answers_arp': True}", "datapath 'mine' has no claims: give it a "),
        ("claims = property(lambda self: Claims(bypasses_stack=True))",
         "datapath 'mine': claims contradict each other: bypasses_stack, but delivers or"),
    ],
)  # fmt: skip
def test_a_datapath_without_valid_claims_is_one_line(project, body, words):
    project.datapath(body)
    ended = project.run(MARKED)
    assert ended.code == pytest.ExitCode.INTERRUPTED, ended.text
    assert [line for line in ended.out.splitlines() if line.startswith(words)]
    assert "Traceback" not in ended.text
    named = project.run(MARKED, "--hr-datapath", "mine")
    assert named.code == 13
    assert named.text.startswith(f"Exit: hostroute: {words}")
    assert len(named.text.splitlines()) == 1


def test_claims_that_contradict_each_other_end_the_run_where_they_are_registered(project):
    text = (project.directory / "conftest.py").read_text()
    late = text.replace("DATAPATHS.register", "Claims(bypasses_stack=True); DATAPATHS.register")
    (project.directory / "conftest.py").write_text(late)
    ended = project.run(MARKED)
    assert ended.code == 13, ended.text
    assert ended.text.startswith("Exit: hostroute: claims contradict each other: bypasses_stack")
    assert len(ended.text.splitlines()) == 1
