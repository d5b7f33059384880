# SPDX-License-Identifier: Apache-2.0
"""The page of records that try to be more than text."""

import re

from harness.report import clean
from tests.support import records
from tests.support.pages import Page, page, small

EVIL = "<script>alert(1)</script>\x00\x1b[31m\u202e\ud800&amp;\"'{{ 7 * 7 }}"


def poisoned():
    """A record in which every text that may hold anything holds something bad."""
    document = small(growth=[records.growth()])
    for entry in document["comparisons"]:
        entry.update(dict.fromkeys(("title", "described", "testbed", "baseline", "partial"), EVIL))
        entry["arms"] = {f"{EVIL}{label}": arm for label, arm in entry["arms"].items()}
        for arm in entry["arms"].values():
            arm |= {
                "nodes": {EVIL: EVIL},
                "hosts": {
                    EVIL: {
                        "sysctls": {EVIL: EVIL},
                        "interfaces": {EVIL: {"mtu": None, "qdisc": EVIL, "offloads": [EVIL]}},
                    }
                },
                "extra": {EVIL: [1.0]},
            }
        for verdict in entry["verdicts"]:
            verdict |= {"arm": f"{EVIL}{verdict['arm']}", "against": EVIL, "warnings": [EVIL]}
    for mean in document["summary"]:
        mean |= {"arm": EVIL, "testbed": EVIL}
    for curve in document["growth"]:
        curve.update(dict.fromkeys(("title", "described", "unit", "testbed", "partial"), EVIL))
        curve["points"] = {EVIL: curve["points"]["bpf"]}
    for test in document["conformance"]:
        test.update(dict.fromkeys(("test", "testbed", "datapath", "reason"), EVIL))
        test |= {"legs": [EVIL], "degraded": [EVIL], "observed": {EVIL: EVIL, "values": EVIL}}
    document["exact"] = [{**entry, "datapath": EVIL, "testbed": EVIL, "figure": EVIL, "unit": EVIL}
                         for entry in records.exact()]  # fmt: skip
    document["machine"] |= dict.fromkeys(("cpu_model", "cmdline", "governor"), EVIL)
    document |= {"harness": EVIL, "command": [EVIL], "partial": EVIL}
    return document


def test_nothing_in_a_record_becomes_markup():
    text = page(poisoned(), unread=(clean(EVIL),))
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
