# SPDX-License-Identifier: Apache-2.0
"""ICMP errors of a router beyond the nodes reach the pod that they concern, past the stack.

The world routes: pod1 and pod2, both on master, send to what it refuses.
"""

import pytest

from harness.datapath import Claims
from harness.testbed import Testbed
from harness.topology.addressing import world_uplink
from harness.traffic import ANY_PORT, Form
from testbeds.packets import probe
from testbeds.sightings import errors_about
from testbeds.talk import forwarded
from testbeds.two_node.legs import WORLD

_LOCKED = 1 << 2  # RTAX_MTU in RTAX_LOCK, uapi/linux/rtnetlink.h
NARROW = 1300
#: Where to → what the world's route to it is, and the error (type, code) by family. A route with a
#: `mtu` leads on to node1, where nothing that is sent here arrives.
REFUSALS: dict[str, tuple[dict[str, object], dict[int, tuple[int, int]]]] = {
    "unreachable": ({"type": "unreachable"}, {4: (3, 1), 6: (1, 0)}),
    "expired": ({}, {4: (11, 0), 6: (3, 0)}),
    "too big": ({"metrics": {"mtu": NARROW, "lock": _LOCKED}}, {4: (3, 4), 6: (2, 0)}),
}
BEYOND = {4: "203.0.113.{}", 6: "2001:db8:beef::{}"}


def _lay_routes(bed: Testbed, family):
    """Make the world a router; returns the addresses behind it, in the order of REFUSALS."""
    addresses = []
    bed.world.ns.sysctl(f"{family.name}/conf/all/forwarding", 1)
    for number, (route, _) in enumerate(REFUSALS.values(), 1):
        addresses.append(BEYOND[family].format(number))
        onwards = {"gateway": bed.node1.address, "oif": bed.world.ifindex("eth0")}
        bed.world.ns.netlink.route(
            "add", dst=f"{addresses[-1]}/{family.host_prefix}", family=family.af,
            **(route if "type" in route else onwards | route),
        )  # fmt: skip
    return addresses


def _to_the_router(claims: Claims) -> int:
    """The TTL with which a packet gets as far as the world, and no further."""
    return 1 + claims.decrements_ttl


@pytest.mark.topology(more_pods=1, world=True)
def test_hr08_errors_of_a_router_beyond(two_node: Testbed, datapath, family):
    pods, claims = (two_node.pod1, two_node.pod2), datapath.claims
    forms = {"n": Form(two_node.master.address, ANY_PORT)} if claims.masquerade else {}
    addresses = _lay_routes(two_node, family)
    with two_node.evidence() as evidence, two_node.capture() as seen:
        for kind, address in zip(REFUSALS, addresses, strict=True):
            ttl = _to_the_router(claims) if kind == "expired" else 64
            size = NARROW + 1 if kind == "too big" else 0
            # ip_error() sends a receiver five at once, which no namespace's sysctl changes; to it
            # two pods that are masqueraded are one.
            for pod in pods[:1] if kind == "unreachable" else pods:
                if pod is pods[0]:  # two that are masqueraded would look alike
                    pod.ping(address, ttl=ttl, size=max(size - 28, 56), df=True, forms=forms)
                probe(pod, address, ttl, size, forms)
    kinds = dict(zip(addresses, REFUSALS, strict=True))
    for flow in seen.flows:
        pod = pods[flow.client != pods[0].address]
        rows = (
            WORLD[claims.masquerade][claims.off_wire]
            .replace("pod1", pod.name)
            .replace("lxc1", pod.lxc)
        )
        assert seen.legs(flow) == rows.replace("reply", "error")
        _, errors = REFUSALS[kinds[flow.server]]
        told = (world_uplink()[family], *errors[family])
        assert errors_about(seen, flow, pod) == [told], "errors"
    stack = forwarded(seen, two_node.master, bypassed=claims.bypasses_stack)
    assert evidence.nodes["master"].hooks["forward"] == stack, "forward hook"
