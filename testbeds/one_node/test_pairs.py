# SPDX-License-Identifier: Apache-2.0
"""Everybody on a node talks to everybody: each pair, both ways, by each protocol."""

from itertools import permutations

import pytest

from harness.testbed import Testbed
from harness.watch.evidence import HOOKS
from testbeds.one_node.legs import between
from testbeds.talk import ask, connect, forwarded


@pytest.mark.topology(pods_per_node=3)
def test_hr07_every_pod_and_every_other(one_node: Testbed, datapath, family):
    pairs = list(permutations((one_node.pod1, one_node.pod2, one_node.pod3), 2))
    with one_node.evidence() as evidence, one_node.capture() as seen:
        lost = [f"{a} > {b}" for a, b in pairs if ask(a, b)]
        assert lost == [], "lost"
        damaged = [f"{a} > {b}" for a, b in pairs if not connect(a, b)]
    assert damaged == [], "streams intact"
    names = {pod.address: pod.name for pair in pairs for pod in pair}
    for flow in seen.flows:
        ends = names[flow.client], names[flow.server]
        assert seen.legs(flow) == between(datapath.claims.delivers, *ends)
    stack = forwarded(seen, one_node.master, bypassed=datapath.claims.bypasses_stack)
    assert evidence.nodes["master"].hooks == dict.fromkeys(HOOKS, stack), "hooks"
