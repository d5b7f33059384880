# SPDX-License-Identifier: Apache-2.0
"""The legs expected on two nodes. `>` leaves the namespace through the interface, `<` enters it."""

_BYPASS = """
    pod1:eth0        > request    < reply
    master:lxc1      < request
    master:enp0s8    > request    < reply
    node1:enp0s8     < request    > reply
    node1:lxc2       < reply
    pod2:eth0        < request    > reply
"""
_STACK = """
    pod1:eth0        > request    < reply
    master:lxc1      < request    > reply
    master:enp0s8    > request    < reply
    node1:enp0s8     < request    > reply
    node1:lxc2       > request    < reply
    pod2:eth0        < request    > reply
"""

#: pod1 on master asks pod2 on node1.
TWO_NODES = {
    "legacy": _STACK,
    "bpf": _BYPASS,
    "bpf-redirect": _STACK,
    "bpf-skip-fib": _BYPASS,
}

#: A request from pod1 that ends on its node without an answer.
UNANSWERED = """
    pod1:eth0        > request
    master:lxc1      < request
"""

#: A request from pod1 that its node, or the datapath for it, answers with an ICMP error.
REFUSED = """
    pod1:eth0        > request    < error
    master:lxc1      < request    > error
"""
