# SPDX-License-Identifier: Apache-2.0
"""What the documents say is what the code holds."""

import re
from pathlib import Path

import pytest

from harness.cli.claims import markdown
from harness.datapath.catalogue import CATALOGUE
from harness.plumbing.errors import EXIT_CODES
from testbeds.mutants.__main__ import page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Where a path on a page may begin: a page about the harness or the suites leaves that part out.
BASES = [ROOT, ROOT / "docs", ROOT / "harness", ROOT / "testbeds"]
#: Names of files that are not ours: the kernel's, and what a run writes.
FOREIGN = {"net/core/filter.c", "output.txt", "FILE.toml", ".github/workflows/hostroute.yml"}
_ENDS = r"\.(?:py|c|h|toml|ini|md|yml|sh|j2|css|txt|schema\.json)\b"
_FILE = re.compile(rf"(?<![\w/.-])[\w.-]+(?:/[\w.-]+)*{_ENDS}(?:::\w+)?")
_DIRECTORY = re.compile(r"(?<![\w/.-])(?:harness|testbeds|tests|bpf|docs|\.ci)/[\w/-]*+(?!\.)")
_SPAN = re.compile(r"`([^`\n]+)`|\]\(([^)#]+)")


def files():
    """Every file of the project by its bare name; the code only, as nothing else is named so."""
    places = ("harness", "testbeds", "tests", "bpf", "docs")
    found = [path for place in places for path in (ROOT / place).rglob("*")]
    return {path.name for path in [*found, *ROOT.iterdir()]}


def named(text):
    """What a page names in `code`, in links and in its blocks: files, directories, tests."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    spans = [first or second for first, second in _SPAN.findall(prose)]
    found = {name for span in spans for name in _FILE.findall(span) + _DIRECTORY.findall(span)}
    # In a block a bare name may be a user's.
    found |= {name for block in blocks for name in _FILE.findall(block) if "/" in name}
    return found - FOREIGN


def missing(text, later=()):
    """Those that do not exist."""
    known = files()
    absent = []
    for name in sorted(named(text)):
        path, _, test = name.partition("::")
        places = [base / path for base in BASES if (base / path).exists()]
        bare = "/" not in path and (path in known or path in later)
        there = bool(places) or bare
        if there and test:
            there = f"def {test}(" in places[0].read_text(encoding="utf-8")
        absent += [] if there else [name]
    return absent


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_names_exists(path):
    later = {word for entry in CATALOGUE.values() for word in (entry.later or "").split()}
    assert missing(path.read_text(encoding="utf-8"), later) == []


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("in `traffic/ping.py` and `harness/traffic/gone.py`", ["harness/traffic/gone.py"]),
        ("`capture/tcpdump.py`", ["capture/tcpdump.py"]),
        ("`forward.c`, `gone.c`", ["gone.c"]),
        ("below `harness/gone/` or `tests/unit/`", ["harness/gone/"]),
        ("[a](docs/kernels.md#top), [b](gone.md)", ["gone.md"]),
        ("```\ntestbeds/one_node/test_legs.py::test_gone PASSED\nmine.py\n```\n",
         ["testbeds/one_node/test_legs.py::test_gone"]),
        ("a gone.py in prose, `masquerade.c`", ["masquerade.c"]),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_found(text, absent):
    assert missing(text) == absent


def test_controls_page_is_current():
    text = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
    assert text.rstrip("\n") == page()


def test_the_table_of_claims_is_current():
    text = (ROOT / "docs" / "own-tests.md").read_text(encoding="utf-8")
    start, end = "<!-- Made by: hostroute claims --markdown -->\n", "<!-- end -->\n"
    table = text.split(start)[1].split(end)[0]
    assert table == "".join(f"{line}\n" for line in markdown())


def test_readme_lists_every_exit_code():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    absent = [code for code in EXIT_CODES if f"| {code} |" not in readme]
    assert absent == []


def test_conformance_page_has_every_entry_of_the_catalogue():
    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert [identity for identity in CATALOGUE if f"| {identity} |" not in text] == []
