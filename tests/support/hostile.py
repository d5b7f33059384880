# SPDX-License-Identifier: Apache-2.0
"""Records that try to be more than text: valid by the schema, hostile in every free text."""

from __future__ import annotations

import unicodedata

from tests.support import records
from tests.support.pages import small

#: What a terminal obeys, what turns the direction of what follows, what ends a line.
CONTROLS = "\x00\x07\x1b[2J\x1b]0;title\x07\x7f\x9b31m\u200b\u200e\u200f\u202e\u2066\u061c\ud800"
BREAKS = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")
FORGED = "gate passed: nothing worse"
FORGERY = CONTROLS + "".join(f"{end}{FORGED}" for end in BREAKS)
MARKUP = "<script>alert(1)</script>\x00\x1b[31m\u202e\ud800&amp;\"'{{ 7 * 7 }}"

#: Its tables have lines: what stands on one stays there.
_TABLE = f"a:x > request {CONTROLS}\nb:y {MARKUP}"
WRONG_LEGS = dict.fromkeys(("expected", "seen", "side_by_side"), _TABLE)


def poisoned(text):
    """A record in which every text that may hold anything holds something bad."""
    document = small(growth=[records.growth()])
    for entry in document["comparisons"]:
        entry.update(dict.fromkeys(("title", "described", "testbed", "baseline", "partial"), text))
        entry["arms"] = {f"{text}{label}": arm for label, arm in entry["arms"].items()}
        for arm in entry["arms"].values():
            arm |= {
                "nodes": {text: text},
                "hosts": {
                    text: {
                        "sysctls": {text: text},
                        "interfaces": {text: {"mtu": None, "qdisc": text, "offloads": [text]}},
                    }
                },
                "extra": {text: [1.0]},
            }
        for verdict in entry["verdicts"]:
            verdict |= {"arm": f"{text}{verdict['arm']}", "against": text, "warnings": [text]}
    for mean in document["summary"]:
        mean |= {"arm": text, "testbed": text}
    for curve in document["growth"]:
        curve.update(dict.fromkeys(("title", "described", "unit", "testbed", "partial"), text))
        curve["points"] = {text: curve["points"]["bpf"]}
    for test in document["conformance"]:
        test.update(dict.fromkeys(("test", "testbed", "datapath", "reason"), text))
        test |= {"legs": [text], "degraded": [text], "observed": {text: text, "values": text}}
        test |= {"outcome": "failed", "pcaps": [text], "wrong_legs": WRONG_LEGS | {
            "missing": [text], "extra": [text], "delivery": text}}  # fmt: skip
    document["exact"] = [{**entry, "datapath": text, "testbed": text, "figure": text, "unit": text}
                         for entry in records.exact()]  # fmt: skip
    document["machine"] |= dict.fromkeys(("cpu_model", "cmdline", "governor"), text)
    document |= {"harness": text, "command": [text], "partial": text}
    return document


def forging(**changes):
    """A valid record whose every free text forges the gate's last line."""
    document = poisoned(FORGERY)
    for entry in document["comparisons"]:
        entry["arms"][FORGERY] = next(iter(entry["arms"].values()))
        for number, verdict in enumerate(entry["verdicts"]):
            verdict["arm"] = list(entry["arms"])[number]
    document["id"] = f"run-20261122T174100Z-6.18\x1b[2J\u2028{FORGED}\x85{FORGED}-000001"
    document["machine"] |= dict.fromkeys(("kernel", "kernel_version", "python"), FORGERY)
    document["machine"] |= {key: {FORGERY: FORGERY} for key in ("sysctls", "packages")}
    return document | changes


def forged(text):
    """The characters of a text that do more than stand there, and its lines that are forged."""
    bad = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}
    lines = [line for line in text.splitlines() if line.strip(" |>*-").startswith(FORGED)]
    return sorted(map(hex, map(ord, bad))), lines
