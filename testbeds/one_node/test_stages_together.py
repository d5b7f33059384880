# SPDX-License-Identifier: Apache-2.0
"""Policy and services in one build: which of a flow's ends is judged, and when; pairs that heal."""

import time
from typing import Any

import pytest
from scapy.layers.inet import UDP

from harness.datapath import Policy, Rule, Timeouts
from harness.plugin.building import BuildTestbed
from harness.topology import addressing as plan
from harness.traffic.headers import decode
from testbeds.one_node.legs import CLUSTER_IP
from testbeds.packets import from_pod, ip
from testbeds.policies import mute, reach, selects, tapped
from testbeds.services import BACKEND_PORT, PORT, Served, ask, forms, settings

pytestmark = pytest.mark.claims("policy", "services")

OTHER = Served(1, (plan.pod(1, 2),))
CLIENT_PORT = 4000


@pytest.mark.claims("policy", "services", bypasses_stack=True, delivers="lxc")
def test_hr09_legs_as_legacy_bypass_as_bpf_with_every_stage(
    build_testbed: BuildTestbed, datapath, family
):
    allowed = [Rule("pod2", "ingress", protocol=protocol, port=BACKEND_PORT)
               for protocol in ("udp", "tcp")]  # fmt: skip
    policy = Policy((*allowed, selects("pod1", "ingress")))
    testbed = build_testbed("one_node", datapath, family, None, settings(OTHER, policy=policy))
    pod1, pod2 = testbed.pod1, testbed.pod2
    with testbed.evidence() as evidence, testbed.capture() as seen:
        ask(pod1, pod2, OTHER.cluster_ip(family), forms(pod2))
    assert seen.legs() == CLUSTER_IP["lxc"]
    assert set(evidence.nodes["master"].hooks.values()) == {0}, "hooks"


#: Rules → whether what asks the service reaches its backend. FRONT stands for its address.
FRONT = "front"
JUDGED: dict[str, tuple[list[tuple[str, str, int]], bool]] = {
    "egress to the backend": ([("egress", "10.0.1.0/24 fd00:10:0:1::/64", BACKEND_PORT)], True),
    "egress to the front": ([("egress", FRONT, PORT)], False),
    "egress to the backend at the front's port": (
        [("egress", "10.0.1.0/24 fd00:10:0:1::/64", PORT)], False,
    ),
    "ingress at the backend's port": ([("ingress", "any", BACKEND_PORT)], True),
    "ingress at the front's port": ([("ingress", "any", PORT)], False),
}  # fmt: skip


def test_hr35_policy_judges_the_backend(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("one_node", datapath, family, None, settings(OTHER, policy=Policy()))
    pod, other, front = testbed.pod1, testbed.pod2, OTHER.cluster_ip(family)
    mute(other)
    found = {}
    with tapped(other) as tap:
        for number, (name, (rules, _)) in enumerate(JUDGED.items()):
            testbed.enforce(Policy(tuple(
                Rule({"egress": "pod1", "ingress": "pod2"}[direction], direction, "allow",
                     front.address if networks == FRONT else networks.split()[-(family == 6)],
                     "udp", port)
                for direction, networks, port in rules
            )))  # fmt: skip
            asked = UDP(sport=CLIENT_PORT + number, dport=PORT)
            packet = ip(family, pod.address, front.address) / asked
            found[name] = reach(pod, tap, {"udp": packet}) == ["udp"]
    assert found == {name: passes for name, (_, passes) in JUDGED.items()}, "arrived"


#: An ICMP timeout of a few ticks: pairs are renewed at least that often.
BRIEF = 0.04
_DEADLINE = 5.0


def _until(happened, again):
    """Do something again until it has led to something; whether it has, before the deadline."""
    end = time.monotonic() + _DEADLINE
    while not happened():
        if time.monotonic() > end:
            return False
        again()
    return True


@pytest.mark.claims("policy", "services", counts=True)
def test_hr42_an_evicted_entry_of_a_services_flow(build_testbed: BuildTestbed, datapath, family):
    """What comes the way of the evicted entry is nobody's until the other way renews both."""
    policy = Policy((), Timeouts(icmp=BRIEF))
    testbed = build_testbed("one_node", datapath, family, None, settings(OTHER, policy=policy))
    pod, other, front = testbed.pod1, testbed.pod2, OTHER.cluster_ip(family)
    installed: Any = testbed.datapath_of("master").installed
    mute(pod)
    mute(other)
    asked = ip(family, pod.address, front.address) / UDP(sport=CLIENT_PORT, dport=PORT)
    answer = ip(family, other.address, pod.address) / UDP(sport=BACKEND_PORT, dport=CLIENT_PORT)
    names = {front.address: "front", other.address: "backend"}
    with tapped(pod) as at_pod, tapped(other) as at_other:

        def ask_it():
            return reach(pod, at_other, {"asked": asked})

        def answered_by():
            other.inject("eth0", [from_pod(other, answer)])
            headers = [decode(frame).ip for frame in at_pod.frames()]
            return [names.get(header.source) for header in headers if header]

        def pair():
            return {(flow.source, flow.reply) for flow in installed.flows(family)}

        whole = {(pod.address, False), (other.address, True)}
        reached = ask_it()
        first = answered_by()
        installed.forget(family, reply=True)
        stray = answered_by()
        healed = _until(lambda: whole <= pair(), ask_it)
        then = answered_by()
        installed.forget(family, reply=False)
        renewed = _until(lambda: whole <= pair(), answered_by)
        after = answered_by()
    assert (reached, first) == (["asked"], ["front"]), "answered"
    assert stray == ["backend"], "evicted way back"
    assert (healed, then) == (True, ["front"]), "healed by what asks"
    assert (renewed, after) == (True, ["front"]), "healed by what answers"
