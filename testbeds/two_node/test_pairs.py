# SPDX-License-Identifier: Apache-2.0
"""Pods, nodes and the world talk to each other: each pair, both ways, by each protocol."""

from itertools import permutations

import pytest

from harness.testbed import PodActor, Testbed
from harness.traffic import ANY_PORT, Form
from testbeds.talk import ask, connect, forwarded
from testbeds.two_node.legs import between

NODES = ("master", "node1")


def _forms(client, server, masquerade):
    """How a masqueraded pod looks to all but pods and its own node: form `n`."""
    if not masquerade or not isinstance(client, PodActor) or isinstance(server, PodActor):
        return {}
    if server.host is client.node:
        return {}
    return {"n": Form(client.node.addresses[client.family], ANY_PORT)}


@pytest.mark.topology(world=True)
def test_hr08_everybody_and_everybody_else(two_node: Testbed, datapath, family):
    bed = two_node
    # Pods first: an echo of master's would else pass for pod1's, masqueraded, whose id is any.
    hosts = [bed.pod1, bed.pod2, bed.master, bed.node1, bed.world]
    pairs = [
        (client, server, _forms(client, server, datapath.claims.masquerade))
        for client, server in permutations(hosts, 2)
    ]
    with bed.evidence() as evidence, bed.capture() as seen:
        lost = [f"{pair[0]} > {pair[1]}" for pair in pairs if ask(*pair)]
        assert lost == [], "lost"
        damaged = [f"{pair[0]} > {pair[1]}" for pair in pairs if not connect(*pair)]
    assert damaged == [], "streams intact"
    names = {host.address: host.name for host in hosts}
    for flow in seen.flows:
        ends = names[flow.client], names[flow.server]
        assert seen.legs(flow) == between(datapath.claims.off_wire, *ends, "".join(flow.forms))
    bypassed = datapath.claims.bypasses_stack
    stack = {name: forwarded(seen, bed.node(name), bypassed=bypassed) for name in NODES}
    assert {name: evidence.nodes[name].hooks["forward"] for name in NODES} == stack, "forward hook"
