# SPDX-License-Identifier: Apache-2.0
"""Reports as Markdown and as CSV, and how numbers are written."""

import csv
import io
from math import exp, log
from operator import truediv
from statistics import geometric_mean, median

import pytest

from harness.report import FORMATS, Report, digest
from harness.report import csv as report_csv
from harness.report.markdown import SHOWN_RUNS
from harness.results import units
from tests.support import records

NARROW, HARD, MINUS = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"


def text(kind, *documents, **changes):
    return FORMATS[kind](Report(tuple(map(digest, map(records.as_run, documents))), **changes))


def rows(*documents):
    return list(csv.DictReader(io.StringIO(text("csv", *documents))))


# ------------------------------------------------------------------------------------ Markdown


def tables(markdown):
    """Every table's cells, header first."""
    found, block = [], []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            block.append([cell.strip() for cell in line.replace(r"\|", "").strip("|").split("|")])
        elif block:
            assert len({len(row) for row in block}) == 1, block
            found.append([block[0], *block[2:]])
            block = []
    return found


def test_markdown_says_verdicts_failures_and_degraded_nodes():
    failed = records.conformance(failed="bpf-redirect")
    said = text("md", records.record(conformance=failed), titles={"HR-07": "legs, same node"})
    assert said.startswith("# eBPF host routing: bpf-redirect and bpf against legacy\n")
    assert "- bpf is faster than legacy in 16 of 16 comparisons. Speed-up" in said
    assert "- **Conformance: 2 of 18 tests of 4 assertions failed: HR-07 (1 on a" in said
    found = tables(said)
    assert found[0][1] == ["HR-07", "AssertionError: the legs seen are not the legs expected",
                           "one_node bpf-redirect ipv4, ipv6"]  # fmt: skip
    matrix = found[1]
    assert matrix[0] == ["assertion", "legacy", "bpf", "bpf-redirect", "bpf-skip-fib", "any"]
    at = matrix[0].index("bpf-redirect")
    assert next(row for row in matrix if row[0].startswith("HR-07"))[at] == "2 FAILED"
    verdicts = next(table for table in found if table[0][0] == "measure")
    assert len(verdicts) == 1 + 16 * 3
    assert ["HR-06", "master: Host Routing: Legacy (switched off by the user)",
            "one_node bpf ipv4"] in found[2]  # fmt: skip


def test_the_matrix_is_open_only_if_something_failed():
    assert "<details open>" not in text("md", records.record())
    failed = records.conformance(failed="bpf")
    assert "<details open>" in text("md", records.record(conformance=failed))


def test_markdown_over_kernels():
    said = text("md", records.record(kernel="6.1.1", exact=records.exact("6.1"),
                                     conformance=records.conformance(mark_kept=False)),
                records.record(kernel="6.12.1", seed=2, exact=records.exact("6.12")))  # fmt: skip
    found = tables(said)
    assert ["observed", "6.1", "6.12"] in [table[0] for table in found]
    assert ["HR-37 mark", "0", "119"] in [row for table in found for row in table]
    counted = next(table for table in found if table[0][0].startswith("round trip, one_node, ipv4"))
    assert counted[1][2].endswith(f"({MINUS}1.1{NARROW}%, better)")


def test_older_runs_are_left_to_the_page():
    many = [records.record(seed=i, measures=("round-trip-udp-1",)) for i in range(SHOWN_RUNS + 2)]
    said = text("md", *many)
    assert sum(table[0][0] == "measure" for table in tables(said)) == SHOWN_RUNS
    assert "2 older runs measured too: see the page." in said


def test_nothing_in_a_record_becomes_markdown():
    evil = "a|b `c` *d* _e_ [f](http://g) <h> ~i~ # j & \\ k\n| l |\r- m"
    document = records.record()
    document["conformance"][0] |= {"outcome": "failed", "reason": evil}
    said = text("md", document)
    [line] = [line for line in said.splitlines() if "http://g" in line]
    assert line.count("|") - line.count(r"\|") == 4  # three cells
    for bad in ("`c`", "*d*", " _e_", "[f](", "<h>", "~i~"):
        assert bad not in line.replace("\\" + bad[0], "")
    assert "\\<h\\>" in line
    assert "&amp; \\\\ k \\| l \\|" in line


def test_markdown_of_nothing():
    empty = records.record(comparisons=[], summary=[], growth=[], conformance=[])
    assert text("md", empty).splitlines()[0] == "# eBPF host routing: conformance"


# ----------------------------------------------------------------------------------------- CSV


def test_csv_has_a_line_for_every_arm_unrounded():
    document = records.record()
    found = rows(document)
    assert len(found) == 16 * 5
    for entry in document["comparisons"]:
        mine = {row["arm"]: row for row in found
                if [row[k] for k in ("measure", "testbed", "family")]
                == [entry[k] for k in ("measure", "testbed", "family")]}  # fmt: skip
        assert set(mine) == set(entry["arms"])
        for verdict in entry["verdicts"]:
            row = mine[verdict["arm"]]
            assert [float(row[k]) for k in ("ratio", "low", "high")] == [
                verdict[k] for k in ("ratio", "low", "high")
            ]
            assert row["verdict"] == verdict["verdict"]
        assert mine["legacy"]["ratio"] == mine["bpf again"]["verdict"] == ""
        assert "FORWARD, masquerade, 100 services" in mine["legacy"]["nodes"]
        assert float(mine["limit"]["share_of_limit"]) == 1


def test_the_share_of_the_limit_is_less_than_all_of_it_whatever_is_better():
    document = records.record()
    found = rows(document)
    entries = {
        (e["measure"], e["testbed"], e["family"]): e["arms"] for e in document["comparisons"]
    }
    for row in found:
        arms = entries[row["measure"], row["testbed"], row["family"]]
        pairs = zip(arms[row["arm"]]["values"], arms["limit"]["values"], strict=False)
        # Rounds are paired as they were interleaved; of logarithms, so that swapping inverts it.
        logs = [log(geometric_mean(map(truediv, mine, best))) for mine, best in pairs]
        ratio = exp(median(logs))
        expected = 1 / ratio if row["better"] == "lower" else ratio
        assert float(row["share_of_limit"]) == pytest.approx(expected)
        assert 0.5 < float(row["share_of_limit"]) <= 1


def test_csv_has_the_exact_figures():
    document = records.record(comparisons=[], exact=records.exact())
    found = rows(document)
    assert [float(row["typical"]) for row in found] == [e["value"] for e in document["exact"]]
    assert {row["unit"] for row in found} == {"instructions"}


def test_csv_quotes_and_defuses():
    document = records.record(measures=("round-trip-udp-1",), testbeds=("one_node",))
    for entry in document["comparisons"]:
        entry |= {"title": '=cmd|"/c calc"!A1', "described": 'a,"b"\nc'}
    row = rows(document)[0]
    assert (row["title"], row["described"]) == ('\'=cmd|"/c calc"!A1', 'a,"b" c')


@pytest.mark.parametrize(
    "title",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "  +1", "\xa0=1",
     "\u3000@x", "\u2003-1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", "\ufe661", "\u207c1",
     "\u22121", " \uff1d1", "\n\n", " plain", '"=1"'],
)  # fmt: skip
def test_no_cell_is_a_formula(title):
    document = records.record(measures=("round-trip-udp-1",), testbeds=("one_node",))
    for entry in document["comparisons"]:
        entry["title"] = title
    assert rows(document)[0]["title"].startswith("'")


@pytest.mark.parametrize(
    "title", ["a;=1", "a;+1;b", "a; =1", "a;\n=1", "a;\xa0\uff1d1", ";@x", 'a;"=1"', 'a;""=1']
)
def test_no_cell_is_a_formula_where_columns_end_at_semicolons(title):
    document = records.record(measures=("round-trip-udp-1",), testbeds=("one_node",))
    for entry in document["comparisons"]:
        entry["title"] = title
        for arm in entry["arms"].values():
            arm["nodes"] = {"master": "legacy", "=1": "legacy"}
    said = text("csv", document)
    cells = [cell for line in said.splitlines() for cell in line.split(";")]
    assert not [cell for cell in cells if cell.strip(' "\xa0').startswith(tuple("=\uff1d+@"))]
    assert any("; '=1: legacy" in line or ";' =1: legacy" in line for line in said.splitlines())


def test_a_harmless_cell_stays_as_it_is():
    document = records.record(measures=("round-trip-udp-1",), testbeds=("one_node",))
    for entry in document["comparisons"]:
        entry["title"] = "a=b; c-d"
        for arm in entry["arms"].values():
            arm["nodes"] = {"master": "legacy", "node1": "legacy"}
    row = rows(document)[0]
    assert (row["title"], row["nodes"]) == ("a=b; c-d", "master: legacy; node1: legacy")


def test_csv_of_nothing_is_its_header():
    empty = records.record(comparisons=[], summary=[], growth=[])
    assert text("csv", empty) == ",".join(report_csv.COLUMNS) + "\n"


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_records_make_the_same_text(kind):
    few = {"measures": ("round-trip-udp-1",), "testbeds": ("one_node",)}
    assert text(kind, records.record(**few)) == text(kind, records.record(**few))


# ------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (2691.4, "ns", "2.69 µs"), (48, "ns", "48.0 ns"), (1.6e7, "ns", "16.0 ms"),
        (16.6e9, "bit/s", "16.6 Gbit/s"), (27_300, "1/s", "27.3 k/s"), (812, "1/s", "812 /s"),
        (48.2, "ns/packet", "48.2 ns/packet"), (4100, "ns/packet", "4.10 µs/packet"),
        (0.0123, "s/GiB", "12.3 ms/GiB"), (2, "s", "2.00 s"), (0.0113, "s/1000", "11.3 ms/1000"),
        (22660, "instructions", f"22{NARROW}660 instructions"),
        (0, "ns", "0 ns"), (-1500, "ns", f"{MINUS}1.50 µs"), (None, "ns", "\N{EN DASH}"),
        (1e-9, "%", "1e-09 %"),
    ],
)  # fmt: skip
def test_values_with_their_unit(value, unit, said):
    assert units.shown(value, unit).replace(HARD, " ") == said


def test_ratios_intervals_shares_and_changes():
    assert (units.ratio(0.70843), units.ratio(12345.6), units.ratio(None)) == (
        "0.708", "1.23e+04", "\N{EN DASH}",
    )  # fmt: skip
    assert units.interval(0.7, 0.71) == "[0.700, 0.710]"
    assert units.interval(None, None) == "no interval"
    assert units.share(0.861) == f"86{NARROW}%"
    assert units.change(1.0412) == f"+4.1{NARROW}%"
    assert units.change(0.955) == f"{MINUS}4.5{NARROW}%"
    assert (units.count(1, "test"), units.count(1200, "test")) == ("1 test", f"1{NARROW}200 tests")
