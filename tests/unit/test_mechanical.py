# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants: where the source is changed, and what of it is left alone."""

import ast
import time
from pathlib import Path

import pytest

from harness.bpf.source import Source
from harness.datapath.bpf import PARTS
from harness.plumbing.errors import HarnessError, UnknownNameError
from testbeds.mutants.mechanical import (
    campaign,
    coverage,
    equivalent,
    forks,
    judge,
    memory,
    python_judge,
    python_sites,
    run_mutated,
)
from testbeds.mutants.mechanical.campaign import all_sites, chosen, summary
from testbeds.mutants.mechanical.memory import Memory, Outcome
from testbeds.mutants.mechanical.sites import conditional, sites

SOURCE = """\
/* a comment with 1 + 2, and if (x) */
#define LIMIT	64	/* 3 */
#define EMPTY
#include "x.h"
struct point {
	u32 x;
	__u8 bytes[16];
};

static __always_inline int first(struct point *p)
{
	u32 zero = 0, *q = &zero;

	if (!p || p->x >= 0x10)
		return drop(p, "1 + 1");
	if (p->x == 5) {
		p->x += 2;
	} else
		p->x = -1;
	switch (p->x) {
	case 1:
		count(p);
		break;
	}
	return p->x & 3;
}
"""


def made(kind):
    return [(s.line, s.old, s.new) for s in sites("x.c", SOURCE) if s.kind == kind]


def test_what_is_built_twice_has_the_lines_of_its_file():
    once = "\tif (flows4 && b)\n\t\treturn 7;\n"
    twice = f'{once}# 3 "x.c"\n{once.replace("4", "6")}# 5 "x.c"\n'
    found = sites("x.c", f"int f()\n{{\n{twice}\tc = d & e;\n}}\n")
    operators = [(site.line, site.old) for site in found if site.kind == "operator"]
    assert operators == [(3, "&&"), (3, "&&"), (5, "&")]


def test_operators_with_two_sides_are_swapped():
    assert made("operator") == [
        (14, "||", "&&"), (14, ">=", ">"), (16, "==", "!="), (17, "+=", "-="), (25, "&", "|"),
    ]  # fmt: skip


def test_constants_of_code_and_of_definitions_are_moved_by_one():
    assert made("constant") == [
        (2, "64", "65"), (7, "16", "17"), (12, "0", "1"), (14, "0x10", "0x11"), (16, "5", "6"),
        (17, "2", "3"), (19, "1", "2"), (21, "1", "2"), (25, "3", "4"),
    ]  # fmt: skip


def test_conditions_are_negated_whole_unless_their_operator_swapped_is_the_same():
    assert made("condition") == [(14, "(!p || p->x >= 0x10)", "(!(!p || p->x >= 0x10))")]


def test_statements_are_deleted_but_declarations_are_not():
    found = [(line, " ".join(old.split()), new) for line, old, new in made("statement")]
    assert (14, 'if (!p || p->x >= 0x10) return drop(p, "1 + 1");', ";") in found
    assert (17, "p->x += 2;", ";") in found
    assert not [old for _, old, _ in found if old == "return p->x & 3;"]  # it would be no program
    assert not [old for _, old, _ in found if "zero" in old or "u32" in old]


@pytest.mark.parametrize("part", PARTS)
def test_every_site_of_the_programs_is_one_patch_that_applies(part):
    text = coverage.read(part)
    for site in sites(part, text):
        patch = site.patch(text)
        assert text.count(patch.old) == 1
        start = text.index(patch.old)
        changed = text[:start] + patch.new + text[start + len(patch.old) :]
        assert changed == text[: site.start] + site.new + text[site.start + len(site.old) :]


def test_there_are_hundreds_of_them_and_each_has_a_key_of_its_own():
    found = all_sites()
    assert len(found) > 350
    assert len({site.key for site in found}) == len(found)
    assert {site.file for site in found} <= set(PARTS)
    with pytest.raises(UnknownNameError, match="--of 'nix' is no part of bpf/: use one of compat"):
        all_sites("nix")


def test_a_key_stays_when_lines_move_and_tells_equal_lines_apart():
    moved = SOURCE.replace("struct point", "/* one more line */\nstruct point", 1)
    assert {site.key for site in sites("x.c", SOURCE)} == {site.key for site in sites("x.c", moved)}
    twice = sites("x.c", "int f(int x)\n{\n\tx = 1;\n\tx = 1;\n}\n")
    assert [site.key for site in twice] == [
        "x.c: x = 1; | statement: deleted", "x.c: x = 1; | constant: 1 -> 2",
        "x.c: x = 1; [2] | statement: deleted", "x.c: x = 1; [2] | constant: 1 -> 2",
    ]  # fmt: skip


def test_what_is_excused_is_still_a_site():
    found = {site.key for site in [*all_sites(), *python_judge.all_sites()]}
    assert set(equivalent.EXCUSED) - found == set()


def test_a_sample_is_drawn_by_its_seed():
    found = all_sites()
    assert chosen(found, 20, 1) == chosen(found, 20, 1) != chosen(found, 20, 2)
    assert chosen(found, None, 1) == found
    assert len(chosen(found, 20, 1)) == 20


def test_what_a_variants_macro_decides_is_told_from_what_all_variants_have():
    text = (
        "#ifndef X_H\n#define X_H\nint a;\n#ifdef SKIP_FIB\nint b;\n#else\nint c;\n#endif\nint d;\n"
    )
    found = {name: conditional(text, text.index(f"int {name}")) for name in "abcd"}
    assert found == {"a": False, "b": True, "c": True, "d": False}


def test_a_site_is_tried_with_the_tests_that_execute_its_place():
    place = {
        site.old: coverage.key_of(site) for site in sites("forward.c", coverage.read("forward.c"))
    }
    assert place["use->nexthop = nexthop;"] != place["use->jiffies = now;"]
    assert place["64"] is None  # a directive: any test may show it
    beside = coverage.places()[place[">>"]]  # in a declaration: what comes behind it
    assert coverage.read("forward.c")[beside.start :].startswith("if (!use ||")


def test_likely_tests_come_first_then_quick_ones_one_of_each_function():
    covered = {test: {"keys": [1] * lines, "seconds": seconds} for test, lines, seconds in (
        ("a[1]", 1, 1.0), ("a[2]", 2, 1.0), ("b[1]", 3, 3.0), ("c[1]", 9, 9.0),
    )}  # fmt: skip
    assert judge._ordered(list(covered), covered, ["gone", "c[1]"]) == [
        "c[1]",
        "a[1]",
        "b[1]",
        "a[2]",
    ]


def test_instrumented_programs_count_every_place_once():
    text = Source(PARTS, (), coverage.instrumented()).text()
    for key in range(len(coverage.places())):
        assert text.count(f"cover({key})") == 1


def test_what_is_equivalent_or_no_program_does_not_count(monkeypatch):
    monkeypatch.setattr(campaign, "EXCUSED", {"c": "nothing changes"})
    found = [("a", "caught"), ("b", "survived"), ("c", "survived"), ("d", "no program"),
             ("e", "hung"), ("f", "same program")]  # fmt: skip
    outcomes = [Outcome(key, outcome, where=f"x.c:1: {key}") for key, outcome in found]
    assert list(summary(outcomes)) == [
        "survived: x.c:1: b",
        "survived: x.c:1: c (nothing changes)",
        "6 mutants: 2 of 3 that count are caught (66.7 %); 1 survivors are equivalent or for later,"
        " 1 compile to the same program, 1 to none",
    ]


# ------------------------------------------------------------------ what is kept, and for how long

SUITE = """\
TABLE = 1


def test_one():
    assert TABLE == 1, "one"


def test_two():
    assert TABLE == 1, "two"
"""


@pytest.fixture
def remembered(tmp_path, monkeypatch):
    """A function: what is remembered when the suite says something."""
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    monkeypatch.setattr(memory, "_harness", lambda: [b"harness"])
    suite = tmp_path / "testbeds" / "test_x.py"
    suite.parent.mkdir()

    def remember(text=SUITE):
        suite.write_text(text)
        memory.tests_of.cache_clear()
        return Memory(tmp_path / "kept", "x", [suite])

    return remember


def noted(kept, outcome, by=""):
    kept.note(Outcome("key", outcome, by, "", "source", kept.suites, kept.harness))


def test_what_was_found_is_kept_from_run_to_run(remembered):
    noted(remembered(), "caught", "testbeds/test_x.py::test_one[bpf-ipv4] - lost")
    again = remembered()
    assert again.holds("key", "source")
    assert not again.holds("key", "another source")
    assert not again.holds("another key", "source")


def test_what_is_caught_holds_until_the_test_that_caught_it_changes(remembered):
    noted(remembered(), "caught", "testbeds/test_x.py::test_one - lost")
    assert remembered(SUITE.replace('"two"', '"three"')).holds("key", "source")
    assert not remembered(SUITE.replace('"one"', '"three"')).holds("key", "source")
    assert not remembered(SUITE.replace("TABLE = 1", "TABLE = 2")).holds("key", "source")


def test_a_survivor_is_tried_with_what_is_new_or_changed_since(remembered):
    noted(remembered(), "survived")
    assert remembered().holds("key", "source")
    more = remembered(SUITE.replace('"one"', '"1"') + "\n\ndef test_three():\n    pass\n")
    assert not more.holds("key", "source")
    assert more.unseen("key", "source") == {
        f"testbeds/test_x.py::test_{n}" for n in ("one", "three")
    }
    assert more.unseen("key", "another") == set(more.tests)


# ------------------------------------------------------------------------------------------- forks


def test_forks_return_what_their_functions_do_and_are_ended_in_time():
    jobs = iter([("sum", lambda: 1 + 1), ("late", lambda: time.sleep(60)), ("list", lambda: [1])])
    assert dict(forks.run(jobs, 3, 1.0)) == {"sum": 2, "late": None, "list": [1]}


def test_a_fork_that_fails_says_where():
    with pytest.raises(HarnessError, match=r"a fork failed at division: .*ZeroDivisionError"):
        list(forks.run(iter([("division", lambda: 1 / 0)]), 1, 60.0))


# ------------------------------------------------------------------------------ the judging Python

PYTHON = """\
from __future__ import annotations

LEGS = '''
    pod1:eth0   > request  < reply
    pod2:eth0   < request
'''


def test_x(seen: int = 3) -> None:
    'Not 4.'
    if seen and seen > 2:
        seen.close(
            now=True,
        )
    assert seen.legs() == LEGS
    assert seen.lost != 0, "lost"
"""


def changed(kind):
    return [(site.line, site.old, site.new) for site in python_sites.sites("x.py", PYTHON)
            if site.kind == kind]  # fmt: skip


def test_python_is_changed_where_it_is_executed():
    assert changed("operator") == [
        (11, "and", "or"), (11, ">", ">="), (15, "==", "!="), (16, "!=", "=="),
    ]  # fmt: skip
    assert changed("constant") == [
        (9, "3", "4"), (11, "2", "3"), (13, "True", "False"), (16, "0", "1"),
    ]  # fmt: skip
    assert changed("condition") == [(11, "seen and seen > 2", "(not (seen and seen > 2))")]
    assert [line for line, _, _ in changed("statement")] == [12, 15, 16]
    assert [line for line, _, _ in changed("row")] == [4, 5]


def test_changed_python_has_the_lines_of_the_source():
    for site in chosen(python_judge.all_sites(), 100, 1):
        text = Path(site.file).read_text()
        new = site.applied(text)
        ast.parse(new)
        assert new.count("\n") == text.count("\n")


def test_an_assertion_is_judged_by_its_test_and_by_the_controls_of_it():
    file = "testbeds/one_node/test_legs.py"
    site = next(s for s in python_judge.all_sites(file) if s.kind == "statement")
    plan = python_judge.plan_of(site)
    (test,) = plan.controls_of
    assert plan.paths == (f"testbeds/{test.replace('::', '.py::')}", "testbeds/test_controls.py")


def test_what_installs_or_looks_is_judged_by_its_unit_tests_first():
    site = python_judge.all_sites("harness/watch/legs/table.py")[0]
    plan = python_judge.plan_of(site)
    assert plan.paths[0] == "tests/unit/watch/test_legs.py"
    assert "testbeds/one_node" in plan.paths
    with pytest.raises(UnknownNameError, match="judges nothing: use one of harness"):
        python_judge.all_sites("nix.py")


def test_a_changed_module_is_found_in_the_sources_place(tmp_path):
    finder = run_mutated.Finder(tmp_path / "a" / "b.py", tmp_path, b"ANSWER = 42")
    assert finder.find_spec("a.c", None) is None
    spec = finder.find_spec("a.b", None)
    assert "ANSWER" in spec.loader.get_code("a.b").co_names
    assert Path(spec.origin) == tmp_path / "a" / "b.py"
