# SPDX-License-Identifier: Apache-2.0
"""Every field of the ICMP errors that a pod is sent, and whom none is sent to."""

import pytest

from harness.testbed import Testbed
from harness.watch.capture import WHOLE
from testbeds import errors as e

TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}
#: Small, odd and even, and either side of what an error may quote at all.
SIZES = {4: (0, 1, 57, 519, 521, 1400), 6: (0, 1, 57, 1183, 1185, 1400)}
#: MACs of another host, of all hosts, of some.
NOT_THE_ROUTERS = ("02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01")


@pytest.mark.needs_macs
@pytest.mark.claims("time_exceeded")
def test_hr17_every_field_of_time_exceeded(one_node: Testbed, datapath, family):
    pod, target = one_node.pod1, one_node.pod2.address
    packets = e.refused(pod, target, SIZES[family], (1, 0), e.CLASSED[family])
    with one_node.capture(WHOLE) as seen:
        pod.inject("eth0", [each.frame for each in packets])
    found = e.errors(seen.frames, "pod1:eth0")
    pairs = list(e.matched(packets, found))
    assert [each.name for each, _ in pairs] == [each.name for each in packets], "answered"
    kinds = {e.kind(frame) for frame in found}
    assert kinds == {TIME_EXCEEDED[family]}, "type and code"
    assert {(f.source_mac, f.destination_mac) for f in found} == {(pod.lxc_mac, pod.mac)}, "MACs"
    classes = {e.traffic_class(frame) for frame in found}
    assert all(map(e.CLASS_OF_ERRORS[family], classes)), "traffic class"
    wrong = [(each.name, f.checksum_faults()) for each, f in pairs if f.checksum_faults()]
    assert wrong == [], "checksums"
    changed = [each.name for each, frame in pairs if not e.begins(each, e.quote(frame))]
    assert changed == [], "quotes"
    cut = [each.name for each, f in pairs if len(e.quote(f)) < len(e.whole_quote(family, each))]
    assert cut == [] or not datapath.claims.quotes_in_full, "quotes that are cut"
    # Frames for another host, which a device that listens to all of them hears (PACKET_OTHERHOST),
    # and those for a group: RFC 1122, 3.2.2, and RFC 4443, 2.4(e).
    others = [
        each.frame
        for to in NOT_THE_ROUTERS
        for each in e.refused(pod, target, SIZES[family][:1], (1,), macs=(pod.mac, to))
    ]
    with one_node.capture() as elsewhere:
        pod.inject("eth0", others)
    told = [str(frame) for frame in e.errors(elsewhere.frames, "pod1:eth0")]
    assert told == [], "errors about frames for others"
