# SPDX-License-Identifier: Apache-2.0
"""The workflow that others copy runs what this project's own workflows run."""

import re
from pathlib import Path

from harness.kernels.catalogue import catalogue

ROOT = Path(__file__).parents[2]
COPIED = (ROOT / "examples/ci/hostroute.yml").read_text(encoding="utf-8")
OWN = "".join(path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").iterdir())
_USES = re.compile(r"uses: (\S+)")


def test_actions_are_pinned_as_in_the_own_workflows():
    assert set(_USES.findall(COPIED)) <= set(_USES.findall(OWN))


def test_its_kernels_are_of_the_default_set():
    (kernels,) = re.findall(r"kernel: \[here, (.*)\]", COPIED)
    assert set(re.findall(r'"([^"]+)"', kernels)) <= set(catalogue().default)


def test_it_compiles_as_the_page_does():
    (call,) = re.findall(r"run: (clang .*) -c ", COPIED)
    page = (ROOT / "docs/your-datapath.md").read_text(encoding="utf-8")
    assert call in re.sub(r" \\\n\s+", " ", page)
