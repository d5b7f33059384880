# SPDX-License-Identifier: Apache-2.0
"""What the documents say is what the code holds."""

from pathlib import Path

from harness.cli.claims import markdown
from harness.datapath.catalogue import CATALOGUE
from harness.plumbing.errors import EXIT_CODES
from testbeds.mutants.__main__ import page

ROOT = Path(__file__).parents[2]


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
    missing = [code for code in EXIT_CODES if f"| {code} |" not in readme]
    assert missing == []


def test_conformance_page_has_every_entry_of_the_catalogue():
    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert [identity for identity in CATALOGUE if f"| {identity} |" not in text] == []
