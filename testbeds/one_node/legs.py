# SPDX-License-Identifier: Apache-2.0
"""The legs expected on one node. `>` leaves the namespace through the interface, `<` enters it."""

_BYPASS = """
    pod1:eth0      > request    < reply
    master:lxc1    < request
    master:lxc2    < reply
    pod2:eth0      < request    > reply
"""
_STACK = """
    pod1:eth0      > request    < reply
    master:lxc1    < request    > reply
    master:lxc2    > request    < reply
    pod2:eth0      < request    > reply
"""

#: pod1 asks pod2. The stack and bpf_redirect transmit through the target's lxc; redirect_peer
#: hands the packet to the pod's eth0 as if received there, so the lxc never sees it.
SAME_NODE = {
    "legacy": _STACK,
    "bpf": _BYPASS,
    "bpf-redirect": _STACK,
    "bpf-skip-fib": _BYPASS,
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

#: A request that the node, or the datapath for it, answers with an ICMP error.
REFUSED = """
    pod1:eth0      > request    < error
    master:lxc1    < request    > error
"""
