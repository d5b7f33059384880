# SPDX-License-Identifier: Apache-2.0
"""What a program costs by itself: BPF_PROG_TEST_RUN, no network, nanoseconds a packet."""

from statistics import median

import pytest
from scapy.layers.inet import UDP

from harness.bpf.syscall import test_run as run_program
from harness.testbed import Testbed
from testbeds.faults import TC_ACT_REDIRECT
from testbeds.packets import from_pod, ip
from testbeds.programs import module_of

pytestmark = [pytest.mark.bench, pytest.mark.topology(pods_per_node=2)]
RUNS = 100
#: Each repetition takes one from the TTL, so that no more than 254 measure the same path.
REPEAT = 200


@pytest.mark.datapaths("bpf", "bpf-redirect", "bpf-skip-fib")
@pytest.mark.parametrize("path", ["local delivery", "off the node"])
def test_bench_program_cost(two_node: Testbed, datapath, family, path, hr_say):
    pod = two_node.pod1
    target = (two_node.pod2 if path == "local delivery" else two_node.pod3).address
    packet = ip(family, pod.address, target, ttl=255) / UDP(sport=1, dport=2) / bytes(64)
    frame = from_pod(pod, packet)
    master = two_node.master
    fd = module_of(two_node, "master").fd("from_container")
    with master.ns:
        runs = [run_program(fd, frame, REPEAT, master.ifindex("lxc1")) for _ in range(RUNS)]
    assert {run.action for run in runs} == {TC_ACT_REDIRECT}
    cost = [run.nanoseconds for run in runs]
    head = f"program cost {datapath.name} {family.name} {path}"
    hr_say(f"{head}: {median(cost):.0f} ns a packet, least {min(cost)} (aim 150)")
