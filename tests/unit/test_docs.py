# SPDX-License-Identifier: Apache-2.0
"""What the documents say is what the code holds."""

from pathlib import Path

from harness.plumbing.errors import EXIT_CODES
from testbeds.catalogue import CATALOGUE
from testbeds.mutants.__main__ import page

ROOT = Path(__file__).parents[1]


def test_controls_page_is_current():
    text = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
    assert text.rstrip("\n") == page()


def test_readme_lists_every_exit_code():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [code for code in EXIT_CODES if f"| {code} |" not in readme]
    assert missing == []


def test_conformance_page_has_every_entry_of_the_catalogue():
    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert [identity for identity in CATALOGUE if f"| {identity} |" not in text] == []
