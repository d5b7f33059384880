# SPDX-License-Identifier: Apache-2.0
"""What is printed of texts that others wrote; that the command line prints nowhere else."""

import ast
from pathlib import Path

import pytest

from harness import cli
from harness.plumbing.printable import aligned, clean, lines, one_line
from tests.support.hostile import BREAKS

REPLACED = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("end", [*BREAKS, "\t"])
def test_breaks_are_blanks(end):
    assert one_line(f"a{end}b") == "a b"


CONTROLS = (*range(9), *range(0x0E, 0x1C), 0x7F, *range(0x80, 0x85), *range(0x86, 0xA0))
MARKS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B, 0x200E, 0x200F, 0x061C, 0xFEFF,
         0xAD, 0xD800, 0xDCFF, 0xE000, 0xE0041)  # fmt: skip


@pytest.mark.parametrize("bad", [*map(chr, (*CONTROLS, *MARKS))], ids=ascii)
def test_what_a_terminal_may_obey_is_replaced(bad):
    assert one_line(f"a{bad}b") == f"a{REPLACED}b"


@pytest.mark.parametrize("text", ["", "plain", "a  b", "Größe 往復 🚀", "1\xa0µs", "e\u0301"])
def test_what_is_text_stays(text):
    assert one_line(text) == text


def test_lines_end_at_line_feeds_only():
    assert lines("a\x1b\nb\u2028c\r\n") == [f"a{REPLACED}", "b c ", ""]


def test_everything_in_a_document_is_cleaned():
    assert clean({"a\n": [1, "b\x1b", {"c": "\u202e"}], "n": [1.0, 2]}) == {
        "a ": [1, f"b{REPLACED}", {"c": REPLACED}],
        "n": [1.0, 2],
    }


def test_columns_are_aligned_by_what_is_shown():
    assert aligned([["a\r\nb", "c"], ["abcd", "d\n"]]) == ["a b   c", "abcd  d"]


MODULES = sorted(Path(cli.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_command_line_prints_in_one_place(module):
    tree = ast.parse(module.read_text(encoding="utf-8"))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    prints = {call for call in calls if call in ("print", "sys.stdout.write", "sys.stderr.write")}
    allowed = {"output": {"print"}, "report": {"sys.stdout.write"}}  # a report has its own escapes
    assert prints == allowed.get(module.stem, set())
