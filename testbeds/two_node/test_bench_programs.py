# SPDX-License-Identifier: Apache-2.0
"""What a program costs by itself: BPF_PROG_TEST_RUN, no network, nanoseconds a packet."""

from statistics import median

import pytest
from scapy.layers.inet import UDP

from harness.plumbing.errors import InapplicableError
from harness.testbed import Testbed
from harness.testbed.programs import TC_ACT_REDIRECT, hook_of
from testbeds.packets import from_pod, ip

pytestmark = [pytest.mark.bench, pytest.mark.topology(pods_per_node=2)]
RUNS = 100
#: Each repetition takes one from the TTL, so that no more than 254 measure the same path.
REPEAT = 200


@pytest.mark.parametrize("path", ["local delivery", "off the node"])
def test_bench_program_cost(two_node: Testbed, datapath, family, path, hr_say):
    """Of the program that redirects what a pod sends; of a datapath without one it says so."""
    pod = two_node.pod1
    target = (two_node.pod2 if path == "local delivery" else two_node.pod3).address
    packet = ip(family, pod.address, target, ttl=255) / UDP(sport=1, dport=2) / bytes(64)
    hook = hook_of(two_node.network.pods[0], from_pod(pod, packet))
    head = f"program cost {datapath.name} {family.name} {path}"
    try:
        with hook.redirecting() as program:
            runs = [hook.run(program, REPEAT) for _ in range(RUNS)]
    except InapplicableError as error:
        hr_say(f"{head}: does not apply: {error}")
        return
    assert {run.action for run in runs} == {TC_ACT_REDIRECT}
    cost = [run.nanoseconds for run in runs]
    hr_say(f"{head}: {median(cost):.0f} ns a packet, least {min(cost)} (aim 150)")
