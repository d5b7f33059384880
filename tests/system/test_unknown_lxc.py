# SPDX-License-Identifier: Apache-2.0
"""An lxc of which the bundled programs know no pod: whatever it sends is dropped, and counted."""

import socket

import pytest

from harness import datapath as datapaths
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family
from testbeds.packets import echo, from_pod, ip
from testbeds.questions import arp_question, nd_question

pytestmark = pytest.mark.usefixtures("hr_machine")


def test_what_an_lxc_without_a_pod_sends_is_dropped():
    topology = TESTBEDS.find("one_node").topology
    with Testbed(topology, datapaths.find("bpf"), insist=True) as testbed:
        pod, other = testbed.pod1, testbed.pod2
        frames = [
            from_pod(pod, ip(family, pod.addresses[family], to.addresses[family]) / echo(family))
            for family in Family
            for to in (other, testbed.master)
        ]
        frames += [arp_question(pod, {}), nd_question(pod, {})]
        assert pod.ping(other).lost == 0
        module = testbed.datapath_of("master").installed.module
        module.table("sources").clear()
        for family in Family:
            known = module.table(f"endpoints{family.value}")
            packed = socket.inet_pton(family.af, pod.addresses[family])
            del known[known.Key.from_buffer_copy(packed)]
        with testbed.evidence() as evidence, testbed.capture() as seen:
            pod.inject("eth0", frames)
        assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}
        assert {frame.direction for frame in seen.frames if frame.interface == "pod1:eth0"} == {
            "out"
        }
        assert evidence.nodes["master"].programs.drops == {"no-endpoint": len(frames)}
