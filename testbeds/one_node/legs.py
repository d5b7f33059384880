# SPDX-License-Identifier: Apache-2.0
"""The legs expected on one node, by how a datapath delivers (`Claims.delivers`).

`>` leaves the namespace through the interface, `<` enters it.
"""

import re

_THROUGH_LXC = """
    pod1:eth0      > request    < reply
    master:lxc1    < request    > reply
    master:lxc2    > request    < reply
    pod2:eth0      < request    > reply
"""

#: pod1 asks pod2. The stack and bpf_redirect transmit through the target's lxc. redirect_peer
#: hands the packet to the pod's eth0 as if received there, so the lxc never sees it. A netkit
#: program runs in the pod's transmission: the host's end shows what is delivered, not what is sent.
SAME_NODE = {
    "stack": _THROUGH_LXC,
    "lxc": _THROUGH_LXC,
    "peer": """
        pod1:eth0      > request    < reply
        master:lxc1    < request
        master:lxc2    < reply
        pod2:eth0      < request    > reply
    """,
    "netkit": """
        pod1:eth0      > request    < reply
        master:lxc1    > reply
        master:lxc2    > request
        pod2:eth0      < request    > reply
    """,
}

#: pod1 asks its own node: up the stack and back down, on every datapath.
OWN_NODE = """
    pod1:eth0      > request    < reply
    master:lxc1    < request    > reply
"""

#: A request that nothing answers, from pod1.
UNANSWERED = """
    pod1:eth0      > request
    master:lxc1    < request
"""


def _answered(answer: str) -> dict[str, str]:
    tapped = f"pod1:eth0 > request < {answer} \n master:lxc1 < request > {answer}"
    netkit = f"pod1:eth0 > request < {answer} \n master:lxc1 > {answer}"
    return dict.fromkeys(("stack", "lxc", "peer"), tapped) | {"netkit": netkit}


#: A request that the datapath drops. A netkit program drops it before the lxc would show it.
DROPPED = {
    "stack": UNANSWERED,
    "lxc": UNANSWERED,
    "peer": UNANSWERED,
    "netkit": "pod1:eth0 > request",
}
#: A request that the datapath answers with an ICMP error.
EXPIRED = _answered("error")
#: A request to the gateway, which the datapath answers for.
GATEWAY = _answered("reply")

#: How a pod asks for its gateway's MAC, and is answered.
RESOLUTION = {4: ("who-has", "is-at"), 6: ("solicitation", "advertisement")}


def resolution(family: int, delivers: str) -> str:
    """The legs of that, at pod1's pair of devices."""
    asked, answered = RESOLUTION[family]
    return GATEWAY[delivers].replace("request", asked).replace("reply", answered)


def with_resolution(family: int, delivers: str) -> str:
    """SAME_NODE, with the resolution that came before."""
    rows = dict(line.split(None, 1) for line in SAME_NODE[delivers].splitlines() if line.strip())
    for line in resolution(family, delivers).splitlines():
        name, rest = line.split(None, 1)
        rows[name] += " " + rest
    return "\n".join(f"{name} {rest}" for name, rest in rows.items())


def _service(lxc1: str, lxc2: str) -> str:
    return f"""
        pod1:eth0      > request      < reply
        master:lxc1    {lxc1}
        master:lxc2    {lxc2}
        pod2:eth0      < request.b    > reply.b
    """


#: pod1 asks a ClusterIP whose backend is pod2; form `b`: client ↔ backend.
CLUSTER_IP = {
    "stack": _service("< request > reply", "> request.b < reply.b"),
    "lxc": _service("< request > reply", "> request.b < reply.b"),
    "peer": _service("< request", "< reply.b"),
    "netkit": _service("> reply", "> request.b"),
}

_HAIRPIN = "pod1:eth0 > request < request.g > reply.g < reply \n master:lxc1 {} \n"
#: pod1 asks a ClusterIP whose backend it is itself; form `g`: the pods' gateway ↔ backend.
HAIRPIN = {
    "stack": _HAIRPIN.format("< request > request.g < reply.g > reply"),
    "lxc": _HAIRPIN.format("< request > request.g < reply.g > reply"),
    "peer": _HAIRPIN.format("< request < reply.g"),
    "netkit": _HAIRPIN.format("> request.g > reply"),
}


def between(delivers: str, client: str, server: str) -> str:
    """SAME_NODE, of any two pods: `pod3` asks `pod1`."""
    names = {"1": client.removeprefix("pod"), "2": server.removeprefix("pod")}
    return re.sub(r"(pod|lxc)([12])", lambda found: found[1] + names[found[2]], SAME_NODE[delivers])
