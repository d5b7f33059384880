# SPDX-License-Identifier: Apache-2.0
"""Which skb metadata a packet keeps on its way out of the uplink."""

from harness.attach import EGRESS
from harness.testbed import Testbed

MARK, PRIORITY, TSTAMP = 0x77, 5, 1_234_567_890


def test_hr37_mark_and_priority_towards_the_uplink(two_node: Testbed, datapath, family, metadata):
    metadata.read_at(two_node.master, "enp0s8", EGRESS)
    assert two_node.pod1.ping(two_node.pod2).lost == 0, "lost when not set"
    unset = metadata.seen()
    assert (unset["packets"], unset["mark"], unset["priority"]) == (1, 0, 0), "not set"
    metadata.read_anew()
    metadata.write_at(two_node.master, "lxc1", MARK, TSTAMP, PRIORITY)
    assert two_node.pod1.ping(two_node.pod2).lost == 0, "lost when set"
    seen = metadata.seen()
    assert seen["packets"] == 1, "packets read"
    assert seen["mark"] == MARK, "mark"
    # The stack gives IPv4's priority anew, by its TOS (ip_forward(), net/ipv4/ip_forward.c).
    kept = datapath.claims.bypasses_stack or family == 6
    assert seen["priority"] == (PRIORITY if kept else 0), "priority"
    # fq would take it for the time to send the packet at: whoever forwards clears it.
    assert seen["tstamp"] == 0, "tstamp"
