# SPDX-License-Identifier: Apache-2.0
"""The conformance report that one can hand in: counts by core and claim, and three forms."""

import json

import msgspec
import pytest
import yaml

from harness.cli import main
from harness.plumbing.errors import RecordError
from harness.report.conformance_report import as_json, as_ktap, as_yaml, report
from harness.results import Assertion, Implementation
from tests.support import records

LEGS = "one_node/test_legs.py::test_hr07_ping"
TTL = "one_node/test_router_duties.py::test_hr17_ttl_1"


def outcome(identity, node, became="passed", reason="", claims=(), datapath="mine"):
    return Assertion(
        test=node, outcome=became, reason=reason, id=identity, testbed="one_node",
        datapath=datapath, family="ipv4", degraded=[], legs=[], observed={}, claims=list(claims),
    )  # fmt: skip


MINE = Implementation(
    name="mine", summary="somebody's", version="1.2", url="https://example.org/mine",
    objects={"mine.o": "0" * 64}, programs={"from_pod": "0123456789abcdef"},
    claims={"delivers": "peer", "time_exceeded": "ipv4", "too_big": "none"},
    unclaimed=["time_exceeded = ipv6", "too_big = ipv4, ipv6"],
)  # fmt: skip
TESTS = [
    outcome("HR-07", LEGS),
    outcome("HR-08", "two_node/test_legs.py::test_hr08_ping", "failed", "legs: < reply is missing"),
    outcome("HR-11", "one_node/test_bypass.py::test_hr11", "skipped", "the kernel is too old"),
    outcome("HR-17", TTL, claims=["time_exceeded"]),
    outcome("HR-17", f"{TTL}[ipv6]", "not claimed", "time_exceeded = ipv6", ["time_exceeded"]),
    outcome("HR-30", "two_node/test_mtu.py::test_hr30", "not claimed", "too_big", ["too_big"]),
    outcome("HR-44", "test_kernel_log.py::test_hr44", datapath=None),
    outcome("HR-07", LEGS, "failed", "of another", datapath="another"),
]
ANOTHER = Implementation(name="another", summary="", claims={}, unclaimed=[])


def run(tests=TESTS, datapaths=(MINE, ANOTHER)):
    whole = records.as_run(records.record(conformance=records.conformance()))
    return msgspec.structs.replace(whole, conformance=list(tests), datapaths=list(datapaths))


def test_the_core_and_each_claim_are_counted_by_themselves():
    found = report(run(), "mine")
    assert found.implementation == MINE
    assert (found.core.result, found.core.passed, found.core.failed) == ("failed", 2, 1)
    (failure,) = found.core.failures
    assert failure == "HR-08 two_node/test_legs.py::test_hr08_ping: legs: < reply is missing"
    assert (found.beyond.result, found.beyond.skipped) == ("not run", 1)
    exceeded = found.claims["time_exceeded"]
    assert (exceeded.value, exceeded.tests.result) == ("ipv4", "passed")
    assert (exceeded.tests.passed, exceeded.tests.unclaimed) == (1, 1)
    assert (found.claims["too_big"].tests.result, found.claims["too_big"].value) == (
        "not run", "none",
    )  # fmt: skip
    assert set(found.claims) == {"time_exceeded", "too_big"}
    assert found.values == {"delivers": "peer"}
    assert found.unclaimed == MINE.unclaimed
    assert "answers_arp" in found.claimed
    assert "time_exceeded = ipv4" in found.claimed


def test_what_ran_on_a_degraded_node_has_not_passed():
    degraded = msgspec.structs.replace(TESTS[0], degraded=["master: Legacy"])
    found = report(run([degraded]), "mine")
    assert (found.core.result, found.core.passed) == ("not run", 0)


def test_a_claim_that_is_declined_is_neither_claimed_nor_lost():
    found = report(run(), "mine")
    assert [line for line in found.claimed if "too_big" in line] == []
    assert [line for line in found.claimed if "time_exceeded" in line] == ["time_exceeded = ipv4"]


def test_yaml_and_json_say_the_same():
    found = report(run(), "mine")
    content = json.loads(as_json([found]))
    assert yaml.safe_load(as_yaml([found])) == content
    assert (content["format"], content["version"]) == ("hostroute-conformance-report", 1)
    assert content["implementation"]["objects"] == {"mine.o": "0" * 64}
    several = [found, report(run(), "another")]
    assert list(yaml.safe_load_all(as_yaml(several))) == json.loads(as_json(several))


@pytest.mark.parametrize(
    ("name", "words"),
    [("nobody", "no conformance of nobody; it has mine, another"), (None, "several datapaths")],
)
def test_a_datapath_that_is_not_there(name, words):
    with pytest.raises(RecordError, match=words):
        report(run(), name)


def test_a_record_that_says_nothing_of_datapaths():
    with pytest.raises(RecordError, match="record a run with `--record`"):
        report(run(datapaths=()), "mine")


def test_the_only_one_need_not_be_named():
    assert report(run(TESTS[:7], [MINE])).implementation == MINE


def test_ktap_has_a_subtest_for_each_entry():
    hostile = outcome("HR-12", "t.py::test_hr12[a # TODO]", "failed", "first\nok 9 forged")
    text = as_ktap(run([*TESTS[:6], hostile]))
    lines = text.splitlines()
    assert lines[:2] == ["KTAP version 1", "1..6"]
    assert "ok 1 HR-07" in lines
    assert "not ok 2 HR-08" in lines
    assert "ok 3 HR-11 # SKIP no test ran" in lines
    assert f"  ok 2 {TTL}[ipv6] # SKIP time_exceeded = ipv6" in lines
    assert "  not ok 1 t.py::test_hr12[a   TODO]" in lines
    assert not [line for line in lines if line.strip().startswith("ok 9")]
    assert len(as_ktap(run(), "another").splitlines()) == 7


def test_the_command_prints_one_document_a_datapath(tmp_path, capsys):
    path = tmp_path / "r.json"
    path.write_bytes(msgspec.json.encode(run()))
    assert main(["results", "conformance", str(path)]) == 0
    names = [each["implementation"]["name"] for each in yaml.safe_load_all(capsys.readouterr().out)]
    assert names == ["mine", "another"]
    assert main(["results", "conformance", str(path), "--datapath", "mine", "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["implementation"]["name"] == "mine"
    assert main(["results", "conformance", str(path), "--format=ktap"]) == 0
    assert capsys.readouterr().out.startswith("KTAP version 1\n")
    assert main(["results", "conformance", str(path), "--datapath", "nix"]) == RecordError.exit_code
    assert capsys.readouterr().err.count("\n") == 1
