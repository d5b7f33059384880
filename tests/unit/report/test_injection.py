# SPDX-License-Identifier: Apache-2.0
"""The page of records that try to be more than text."""

import re

from harness.plumbing.printable import clean
from tests.support.hostile import MARKUP, poisoned
from tests.support.pages import Page, page, small


def test_nothing_in_a_record_becomes_markup():
    text = page(poisoned(MARKUP), unread=(clean(MARKUP),))
    found = Page(text)
    assert "script" not in {tag for tag, _ in found.tags}
    assert text.count("&lt;script&gt;alert(1)") > 30
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", text)
    assert "49" not in re.findall(r"alert\(1\)&lt;/script&gt;\S*", text)
    text.encode()


def test_mathematics_in_a_label_is_text():
    document = small()
    for entry in document["comparisons"]:
        entry["title"] = r"$\frac{1}{0$"
    assert page(document).count(r"$\frac{1}{0$ UDP 1 B") > 2


def test_a_label_in_another_script():
    document = small()
    for entry in document["comparisons"]:
        entry["title"] = "往復時間 🚀"
    assert page(document).count("往復時間 🚀 UDP 1 B") > 2
