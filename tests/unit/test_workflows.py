# SPDX-License-Identifier: Apache-2.0
"""The workflow that others copy runs what this project's own workflows run."""

import re
from pathlib import Path

from harness.kernels.catalogue import catalogue

ROOT = Path(__file__).parents[2]
COPIED = (ROOT / "examples/ci/hostroute.yml").read_text(encoding="utf-8")
OWN = "".join(path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").iterdir())
ACTION = (ROOT / ".github/actions/conformance/action.yml").read_text(encoding="utf-8")
CALLED = (ROOT / ".github/workflows/conformance.yml").read_text(encoding="utf-8")
_USES = re.compile(r"uses: (\S+)")
_PINNED = re.compile(r"\./.*|[\w./-]+@[0-9a-f]{40}")


def test_actions_are_pinned_to_commits_one_for_each():
    used = {*_USES.findall(OWN), *_USES.findall(ACTION), *_USES.findall(COPIED)}
    assert [each for each in used if not _PINNED.fullmatch(each)] == []
    pins = {}
    for each in used:
        name, _, commit = each.partition("@")
        pins.setdefault("/".join(name.split("/")[:2]), set()).add(commit)
    assert {name: commits for name, commits in pins.items() if len(commits) > 1} == {}


def inputs_of(text):
    """Names of the inputs that a workflow or an action declares."""
    block = re.search(r"^( *)inputs:\n((?:\1 +.*\n)+)", text, re.M)
    indent = len(block[1]) + 2
    return set(re.findall(rf"^ {{{indent}}}([\w-]+):", block[2], re.M))


def test_what_is_passed_on_is_declared():
    passed = set(re.findall(r"^      ([\w-]+):", COPIED.partition("with:")[2], re.M))
    assert passed == inputs_of(CALLED) - {"markers"}
    step = CALLED.partition("- uses: ./hostroute/.github/actions/conformance")[2].partition(
        "- name"
    )[0]
    assert set(re.findall(r"^          ([\w-]+):", step, re.M)) == inputs_of(ACTION) - {"base"}
    for declared, text in ((inputs_of(CALLED), CALLED), (inputs_of(ACTION), ACTION)):
        assert set(re.findall(r"inputs\.([\w-]+)", text)) == declared


def test_its_kernels_are_of_the_default_set():
    for text in (COPIED, CALLED):
        (kernels,) = re.findall(r"'\[\"here\", (.*)\]'", text)
        assert set(re.findall(r'"([^"]+)"', kernels)) <= set(catalogue().default)


def test_it_compiles_as_the_page_does():
    (call,) = re.findall(r"compile: (clang .*) -c ", COPIED)
    page = (ROOT / "docs/your-datapath.md").read_text(encoding="utf-8")
    assert call in re.sub(r" \\\n\s+", " ", page)
