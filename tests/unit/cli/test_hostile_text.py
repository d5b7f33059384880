# SPDX-License-Identifier: Apache-2.0
"""A record, a file's name or a guest cannot write to the terminal, nor forge a line of ours."""

import copy
import json

import pytest

from harness.cli import main
from harness.cli.kernels_guests import print_remarks
from harness.kernels import outcomes
from harness.kernels.outcomes import Outcome
from harness.kernels.result import Result
from harness.kernels.supervisor import Ended
from harness.plumbing.errors import HarnessError
from tests.support import records
from tests.support.hostile import FORGERY, forged, forging

ACROSS = "--across=machine,kernel,rules,settings"


@pytest.fixture
def said(capsys):
    """A command's exit code; that its output is harmless has been asserted."""

    def run(*words):
        code = main([*map(str, words)])
        found = capsys.readouterr()
        assert forged(found.out) == ([], []), found.out
        assert forged(found.err) == ([], []), found.err
        return code, found.out, found.err

    return run


@pytest.fixture
def place(tmp_path):
    """Two hostile records that can be compared: the second's machine says something else."""
    base = forging()
    for entry in base["conformance"]:
        entry["legs"] = []  # these have lines: see below
    new = copy.deepcopy(base) | {"id": base["id"][:-1] + "2"}
    new["machine"] |= {"cpu_model": f"{FORGERY}2", "governor": f"{FORGERY}2", "kernel": "2"}
    for entry in new["conformance"]:
        entry |= {"outcome": "failed", "observed": {FORGERY: f"{FORGERY}2"}}
    for name, document in (("a", base), ("b", new)):
        (tmp_path / f"run-{name}.json").write_text(json.dumps(document))
    return tmp_path


@pytest.mark.parametrize("action", ["list", "show", "compare", "gate"])
def test_results_say_a_record_s_texts_harmlessly(place, said, action):
    files = (place / "run-a.json", place / "run-b.json")
    words = {"list": (place,), "show": files[:1]}.get(action, (*files, ACROSS))
    code, out, err = said("results", action, *words)
    assert code in (0, 26)
    assert (err, "\N{REPLACEMENT CHARACTER}[2J" in out) == ("", True)


@pytest.mark.parametrize("action", ["list", "show", "compare", "gate"])
def test_json_of_hostile_records_is_harmless_and_whole(place, said, action):
    files = (place / "run-a.json", place / "run-b.json")
    words = {"list": (place,), "show": files[:1]}.get(action, (*files, ACROSS))
    _, out, _ = said("results", action, *words, "--json")
    assert "\x7f" in json.dumps(json.loads(out), ensure_ascii=False)


@pytest.mark.parametrize("action", ["compare", "gate"])
def test_unlike_records_are_refused_in_one_line(place, said, action):
    code, out, err = said("results", action, place / "run-a.json", place / "run-b.json")
    assert (code, out, len(err.splitlines())) == (25, "", 1)


@pytest.mark.parametrize("kind", ["md", "csv", "html"])
def test_reports_of_hostile_records(place, said, kind):
    code, out, _ = said("report", place, "--format", kind)
    assert (code, "\N{REPLACEMENT CHARACTER}" in out) == (0, True)


def test_only_tables_of_legs_have_lines_in_a_report(place, said):
    for path in place.iterdir():
        document = json.loads(path.read_text())
        for entry in document["conformance"]:
            entry["legs"] = ["pod1:eth0  >\n\x1b[2Jlxc1"]
        path.write_text(json.dumps(document))
    _, out, _ = said("report", place, "--format", "html")
    assert "pod1:eth0  &gt;\n\N{REPLACEMENT CHARACTER}[2Jlxc1</pre>" in out


def test_a_gate_that_fails_says_so_and_nothing_else_says_that_it_passed(place, said):
    base = json.loads((place / "run-a.json").read_text())
    for entry in base["conformance"]:
        entry["outcome"] = "passed"
    (place / "run-a.json").write_text(json.dumps(base))
    code, out, _ = said("results", "gate", place / "run-a.json", place / "run-b.json", ACROSS)
    assert code == 26
    verdicts = [line for line in out.splitlines() if " gate " in f" {line}"[:80]]
    assert "gate failed" in verdicts[-1]


NAME = "x\n\x1b[31m\u202e\u2028gate passed: nothing worse\x85gate passed: nothing worse"


@pytest.mark.parametrize(
    "words",
    [("results", "list", "{}"), ("results", "show", "{}/run-1.json"), ("report", "{}"),
     ("results", "gate", "{}/run-1.json", "{}/run-2.json"), ("results", "list", "{}/none"),
     ("results", "show", "{}#nothing"), ("results", "merge", "{}", "-o", "{}/x"),
     ("report", "{}", "-o", "{}/run-1.json"), ("report", "{}", "--format", "{}"),
     ("kernels", "path", "{}/none"), ("kernels", "path", "{}/run-1.json")],
)  # fmt: skip
def test_a_hostile_name_in_an_error(tmp_path, said, words):
    place = tmp_path / NAME
    place.mkdir()
    for number in (1, 2):
        (place / f"run-{number}.json").write_text("{")
    code, _, err = said(*(word.format(place) for word in words))
    assert code in range(10, 27)
    assert err.startswith("hostroute: ")


def test_a_hostile_name_in_a_report(tmp_path, said):
    place = tmp_path / NAME
    place.mkdir()
    (place / "run-1.json").write_text("{")
    (place / "run-2.json").write_text(json.dumps(records.record(measures=(), growth=[])))
    for kind in ("md", "html", "csv"):
        code, _, err = said("report", place, "--format", kind)
        assert code == 17
        assert "left out" in err
    assert said("results", "merge", place / "run-2.json", "-o", place / "all.json")[0] == 0


def test_a_hostile_argument(said, capsys):
    with pytest.raises(SystemExit):
        main(["results", "list", "a", NAME])
    assert forged(capsys.readouterr().err) == ([], [])


def test_what_a_guest_says(capsys):
    found = [Outcome(f"a::{FORGERY}", FORGERY, "failed", FORGERY),
             Outcome(f"b::{FORGERY}", "HR-07", "skipped", FORGERY)]  # fmt: skip
    ended = Ended(1, FORGERY, (FORGERY,), {"run": 1.0})
    result = Result(FORGERY, ended=ended, outcomes=found)
    print_remarks([result])
    assert forged(capsys.readouterr().out) == ([], [])
    assert forged("\n".join(outcomes.table({FORGERY: found}, {FORGERY: FORGERY}))) == ([], [])


def test_every_error_is_one_line():
    assert forged(str(HarnessError(FORGERY, FORGERY))) == ([], [])
