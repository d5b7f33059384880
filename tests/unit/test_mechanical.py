# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants: where the source is changed, and what of it is left alone."""

import json

import pytest

from harness.bpf.source import Source
from harness.datapath.bpf import PARTS
from harness.plumbing.errors import UnknownNameError
from testbeds.mutants.mechanical import campaign, coverage
from testbeds.mutants.mechanical.campaign import Outcome, all_sites, chosen, summary
from testbeds.mutants.mechanical.sites import sites

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


def test_operators_with_two_sides_are_swapped():
    assert made("operator") == [
        (14, "||", "&&"), (14, ">=", ">"), (16, "==", "!="), (17, "+=", "-="), (25, "&", "|"),
    ]  # fmt: skip


def test_constants_of_code_and_of_definitions_are_moved_by_one():
    assert made("constant") == [
        (2, "64", "65"), (7, "16", "17"), (12, "0", "1"), (14, "0x10", "0x11"), (16, "5", "6"),
        (17, "2", "3"), (19, "1", "2"), (21, "1", "2"), (25, "3", "4"),
    ]  # fmt: skip


def test_conditions_are_negated_whole():
    assert made("condition") == [
        (14, "(!p || p->x >= 0x10)", "(!(!p || p->x >= 0x10))"),
        (16, "(p->x == 5)", "(!(p->x == 5))"),
    ]


def test_statements_are_deleted_but_declarations_are_not():
    found = [(line, " ".join(old.split()), new) for line, old, new in made("statement")]
    assert (14, 'if (!p || p->x >= 0x10) return drop(p, "1 + 1");', ";") in found
    assert (17, "p->x += 2;", ";") in found
    assert (25, "return p->x & 3;", ";") in found
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


def test_there_are_hundreds_of_them_and_each_is_named_once_a_place():
    found = all_sites()
    assert len(found) > 350
    assert {site.file for site in found} <= set(PARTS)
    with pytest.raises(UnknownNameError, match="--of 'nix' is no part of bpf/: use one of compat"):
        all_sites("nix")


def test_a_sample_is_drawn_by_its_seed():
    found = all_sites()
    assert chosen(found, 20, 1) == chosen(found, 20, 1) != chosen(found, 20, 2)
    assert chosen(found, None, 1) == found
    assert len(chosen(found, 20, 1)) == 20


def test_instrumented_programs_count_every_place_once():
    text = Source(PARTS, (), coverage.instrumented()).text()
    for key in range(len(coverage.places())):
        assert text.count(f"cover({key})") == 1


def test_what_is_equivalent_or_no_program_does_not_count(monkeypatch):
    monkeypatch.setattr(campaign, "EQUIVALENT", {"c": "nothing changes"})
    outcomes = [Outcome("a", "caught", "t"), Outcome("b", "survived"), Outcome("c", "survived"),
                Outcome("d", "no program"), Outcome("e", "hung")]  # fmt: skip
    assert list(summary(outcomes)) == [
        "survived: b",
        "survived: c (nothing changes)",
        "5 mutants: 2 of 3 that count are caught (66.7 %); 1 survivors are equivalent or for later,"
        " 1 are no program",
    ]


def test_a_run_goes_on_where_it_was(tmp_path, monkeypatch):
    tried = []

    def attempt(self, site, covered):
        del self, covered
        tried.append(site)
        return Outcome(str(site), "caught", "t")

    monkeypatch.setattr(campaign.Campaign, "_try", attempt)
    monkeypatch.setattr(campaign.Campaign, "_covered", lambda _: {})
    wanted = chosen(all_sites(), 5, 1)
    some = list(campaign.Campaign(tmp_path).run(wanted[:3], 1))
    both = list(campaign.Campaign(tmp_path).run(wanted, 1))
    assert [each.site for each in both] == list(map(str, wanted))
    assert both[:3] == some
    assert tried == wanted
    (state,) = tmp_path.glob("mutants-*.jsonl")
    assert len([json.loads(line) for line in state.read_text().splitlines()]) == 5
