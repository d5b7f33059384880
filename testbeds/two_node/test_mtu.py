# SPDX-License-Identifier: Apache-2.0
"""The MTU's border: what fits passes, what does not is told or fragmented; big streams pass."""

import pytest

from harness.testbed import Testbed
from testbeds.two_node.legs import REFUSED, TWO_NODES

MTU = 1400
HEADERS = {4: 28, 6: 48}  # IP and ICMP echo
TOO_BIG = {4: (3, 4), 6: (2, 0)}
narrow_wire = pytest.mark.topology(wire_mtu=MTU)


@narrow_wire
@pytest.mark.parametrize("size", [MTU - 1, MTU])
def test_hr30_up_to_the_mtu_passes(two_node: Testbed, datapath, family, hr_bypass, size):
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, size=size - HEADERS[family], df=True)
    assert exchange.lost == 0, "lost"
    assert seen.legs() == TWO_NODES[datapath.name]
    forwarded = 0 if datapath.name in hr_bypass else 2
    assert evidence.nodes["master"].hooks["forward"] == forwarded, "forward hook"


@narrow_wire
@pytest.mark.parametrize("size", [MTU + 1, MTU + 4, 1500])
def test_hr30_beyond_the_mtu_is_told(two_node: Testbed, datapath, family, size, hr_observed):
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, size=size - HEADERS[family], df=True)
    for result, lookups in evidence.nodes["master"].programs.fib.items():
        hr_observed(f"lookup {result}", lookups)  # by the route's mtu from 5.12 on
    assert [(e.type, e.code, e.mtu) for e in exchange.errors] == [(*TOO_BIG[family], MTU)], "errors"
    assert seen.legs() == REFUSED


@narrow_wire
def test_hr31_fragments_arrive_whole(two_node: Testbed, datapath, family):
    size = MTU + 1 - HEADERS[family]
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, 3, size=size)
    fragments = seen.at("master:enp0s8", "fragment", "out")
    if family == 4:
        assert exchange.lost == 0, "lost"
        assert len(fragments) == 6, "fragments"
    else:  # no router fragments IPv6: request 1 is refused, then reply 2; what comes after is cut
        assert [(e.type, e.code, e.mtu) for e in exchange.errors] == [(2, 0, MTU)], "errors"
        assert exchange.replies == [3], "replies"
        assert len(fragments) == 4, "fragments of what was cut"


def test_hr33_gso_stream_arrives_intact(two_node: Testbed, datapath, family, hr_bypass):
    with two_node.evidence() as evidence, two_node.capture() as seen:
        transfer = two_node.pod1.stream(two_node.pod2, 4_000_000)
    assert transfer.received_sha256 == transfer.sent_sha256, "stream intact"
    assert (transfer.sent, transfer.received) == (4_000_000, 4_000_000), "bytes"
    for node in ("master", "node1"):
        assert evidence.nodes[node].programs.fib.get("frag-needed", 0) == 0, "frag-needed lookups"
        assert evidence.nodes[node].programs.drops == {}, "drops"
        if datapath.name in hr_bypass:  # all of it in BPF: the stack too would carry it intact
            assert evidence.nodes[node].hooks["forward"] == 0, "forward hook"
            hits = evidence.nodes[node].programs.hits
            assert hits.get(("from-container", "stack"), 0) == 0, "left to the stack"
    largest = max(frame.length for frame in seen.at("master:enp0s8", "request", "out"))
    # Else the stream was not segmented late, and proves nothing.
    assert largest > 2 * 1500, "segmented late"
