# SPDX-License-Identifier: Apache-2.0
"""Stages: what a node's settings do not ask for is not in its programs."""

import dataclasses
import re
from typing import Any

import pytest

from harness.bpf import pool
from harness.bpf.source import Patch, read_part
from harness.datapath import NodeSettings, Policy, bpf_flows, bpf_policy, bpf_services
from harness.datapath.bpf import LOADED
from harness.plugin.building import BuildTestbed

#: Stage → what asks for it, and the maps that it adds.
STAGES = {
    "policy": (NodeSettings(policy=Policy()), bpf_policy.MAPS),
    "services": (NodeSettings(services="bpf"), bpf_services.MAPS),
    "both": (
        NodeSettings(policy=Policy(), services="bpf"), bpf_policy.MAPS + bpf_services.MAPS,
    ),
}  # fmt: skip
_BEGINS = re.compile(r"#ifn?def (FLOWS|POLICY|SERVICES)\b")


def _bare(text: str) -> str:
    """A part of bpf/ without what any stage builds in."""
    kept, depth = [], 0
    for line in text.splitlines(keepends=True):
        if depth or _BEGINS.match(line):
            depth += line.startswith("#if") - line.startswith("#endif")
        else:
            kept.append(line)
    return "".join(kept)


@pytest.mark.claims("policy", "services", counts=True)
@pytest.mark.parametrize("stage", STAGES)
def test_hr86_nothing_asked_for_nothing_compiled_in(
    build_testbed: BuildTestbed, datapath, family, stage
):
    settings, maps = STAGES[stage]
    plain: Any = build_testbed("one_node", datapath, family).datapath_of("master").installed
    staged: Any = build_testbed("one_node", datapath, family, settings=settings)
    with_stage = staged.datapath_of("master").installed
    base = plain.module.source
    texts = {part: read_part(part) for part in base.parts}
    cut = tuple(
        Patch(part, text, _bare(text)) for part, text in texts.items() if text != _bare(text)
    )
    reference = pool.take(dataclasses.replace(base, patches=cut), dict(LOADED))
    tags = reference.tags()
    pool.give_back(reference)
    assert plain.module.tags() == tags, "programs"
    added = set(with_stage.module.tables()) - set(plain.module.tables())
    assert added == {*bpf_flows.MAPS, *maps}, "maps"
    assert not set(plain.module.tables()) & added, "maps of the stage"
    hooks = [len(installed.attachments()) for installed in (plain, with_stage)]
    assert hooks == [2, 4], "attachments"
