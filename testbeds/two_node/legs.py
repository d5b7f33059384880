# SPDX-License-Identifier: Apache-2.0
"""The legs expected on two nodes, by how a datapath delivers off the wire (`Claims.off_wire`).

`>` leaves the namespace through the interface, `<` enters it.
"""

from testbeds.talk import turned

_THROUGH_LXC = """
    pod1:eth0        > request    < reply
    master:lxc1      < request    > reply
    master:enp0s8    > request    < reply
    node1:enp0s8     < request    > reply
    node1:lxc2       > request    < reply
    pod2:eth0        < request    > reply
"""

#: pod1 on master asks pod2 on node1.
TWO_NODES = {
    "stack": _THROUGH_LXC,
    "lxc": _THROUGH_LXC,
    "peer": """
        pod1:eth0        > request    < reply
        master:lxc1      < request
        master:enp0s8    > request    < reply
        node1:enp0s8     < request    > reply
        node1:lxc2       < reply
        pod2:eth0        < request    > reply
    """,
    "netkit": """
        pod1:eth0        > request    < reply
        master:enp0s8    > request    < reply
        node1:enp0s8     < request    > reply
        pod2:eth0        < request    > reply
    """,
}

#: What pod1's own lxc shows of a request and of what comes back off the wire.
_CLIENTS_LXC = {
    "stack": "master:lxc1 < request > {back}",
    "lxc": "master:lxc1 < request > {back}",
    "peer": "master:lxc1 < request",
    "netkit": "",
}


def _by_delivery(back: str, rest: str) -> dict[str, str]:
    return {key: f"{lxc.format(back=back)}\n{rest}" for key, lxc in _CLIENTS_LXC.items()}


#: Whether pods are masqueraded → how a datapath delivers → pod1 asks the world, which sees the pod
#: or, in form `n`, its node.
WORLD = {
    masqueraded: _by_delivery("reply", f"""
        pod1:eth0        > request         < reply
        master:enp0s8    > request{form}   < reply{form}
        switch:master    < request{form}   > reply{form}
        switch:world     > request{form}   < reply{form}
        world:eth0       < request{form}   > reply{form}
    """)
    for masqueraded, form in ((False, ""), (True, ".n"))
}  # fmt: skip

#: A request that the second node answers with an ICMP error.
REFUSED_FAR = _by_delivery("error", """
    pod1:eth0        > request    < error
    master:enp0s8    > request    < error
    node1:enp0s8     < request    > error
""")  # fmt: skip

#: pod1 asks its own node: up the stack and back down, on every datapath.
OWN_NODE = """
    pod1:eth0        > request    < reply
    master:lxc1      < request    > reply
"""

_DROPPED = """
    pod1:eth0        > request
    master:lxc1      < request
"""
#: A request from pod1 that the datapath of its node drops, or sends where nobody answers. A netkit
#: program takes it before the lxc would show it.
DROPPED = {
    "stack": _DROPPED,
    "lxc": _DROPPED,
    "peer": _DROPPED,
    "netkit": "pod1:eth0 > request",
}

#: A request from pod1 that its node's stack answers with an ICMP error, on every datapath.
REFUSED = """
    pod1:eth0        > request    < error
    master:lxc1      < request    > error
"""

#: A request from pod1 that the datapath of its node answers with an ICMP error.
EXPIRED = {
    "stack": REFUSED,
    "lxc": REFUSED,
    "peer": REFUSED,
    "netkit": """
        pod1:eth0        > request    < error
        master:lxc1      > error
    """,
}

#: The switch's port behind each NIC.
_PORTS = {
    "master:enp0s8": "switch:master",
    "node1:enp0s8": "switch:node1",
    "world:eth0": "switch:world",
}
_OTHER_WAY = str.maketrans("<>", "><")


def _with_switch(table: str) -> str:
    """The table, with the switch's ports: each mirrors the NIC behind it."""
    rows = [line.split(None, 1) for line in table.splitlines() if line.strip()]
    mirrored = [
        f"{_PORTS[name]} {legs.translate(_OTHER_WAY)}" for name, legs in rows if name in _PORTS
    ]
    return "\n".join([table, *mirrored])


def _servers_lxc(lxc: str, form: str) -> dict[str, str]:
    """What the lxc of a backend shows of what comes off the wire, and of its replies."""
    through = f"{lxc} > request.{form} < reply.{form}"
    return {"stack": through, "lxc": through, "peer": f"{lxc} < reply.{form}", "netkit": ""}


def _served(lxc: str, form: str, clients: dict[str, str], rest: str) -> dict[str, str]:
    return {
        key: _with_switch(f"{clients.get(key, '')}\n{shown}\n{rest}")
        for key, shown in _servers_lxc(lxc, form).items()
    }


#: pod1 asks a ClusterIP whose backend is pod3 on node1; form `b`: client ↔ backend.
CLUSTER_IP = _served(
    "node1:lxc3", "b", {key: lxc.format(back="reply") for key, lxc in _CLIENTS_LXC.items()}, """
    pod1:eth0        > request      < reply
    master:enp0s8    > request.b    < reply.b
    node1:enp0s8     < request.b    > reply.b
    pod3:eth0        < request.b    > reply.b
""")  # fmt: skip

#: Form → the world asks master, at a NodePort or an address outside, for pod2 on it. `b`: the pod
#: sees the client; `g`: it sees its gateway.
NODE_PORT = {
    form: _served("master:lxc2", form, {}, f"""
        world:eth0       > request           < reply
        master:enp0s8    < request           > reply
        pod2:eth0        < request.{form}    > reply.{form}
    """)
    for form in ("b", "g")
}  # fmt: skip

#: The world asks a NodePort of master for pod3 on node1; form `nb`: node ↔ backend.
NODE_PORT_FAR = _served("node1:lxc3", "nb", {}, """
    world:eth0       > request       < reply
    master:enp0s8    < request       > request.nb    < reply.nb    > reply
    node1:enp0s8     < request.nb    > reply.nb
    pod3:eth0        < request.nb    > reply.nb
""")  # fmt: skip

#: pod1 asks a NodePort of its own node for pod3 on node1.
NODE_PORT_INSIDE = _served(
    "node1:lxc3", "nb", {key: lxc.format(back="reply") for key, lxc in _CLIENTS_LXC.items()}, """
    pod1:eth0        > request       < reply
    master:enp0s8    > request.nb    < reply.nb
    node1:enp0s8     < request.nb    > reply.nb
    pod3:eth0        < request.nb    > reply.nb
""")  # fmt: skip

#: Form → pod1 asks a NodePort of node1 for pod3 on it. `b`: pod3 sees pod1; `g`: it sees its
#: gateway, and node1 sees master (`n`), whose pods are masqueraded.
NODE_PORT_OTHER = {
    form: _served(
        "node1:lxc3", form, {key: lxc.format(back="reply") for key, lxc in _CLIENTS_LXC.items()},
        f"""
        pod1:eth0        > request           < reply
        master:enp0s8    > request{wire}     < reply{wire}
        node1:enp0s8     < request{wire}     > reply{wire}
        pod3:eth0        < request.{form}    > reply.{form}
    """)
    for form, wire in (("b", ""), ("g", ".n"))
}  # fmt: skip

#: The world asks a NodePort of master for pod3 on node1, which refuses: nobody listens.
NODE_PORT_REFUSED = {key: table.replace("reply", "error") for key, table in NODE_PORT_FAR.items()}

#: The same, where no backend may answer.
NODE_PORT_SILENT = _with_switch("""
    world:eth0       > request
    master:enp0s8    < request
""")

#: The same of a service that has no backend at all.
NODE_PORT_NOBODY = _with_switch("""
    world:eth0       > request    < error
    master:enp0s8    < request    > error
""")

#: The world asks a NodePort of master for a process of master.
NODE_PORT_OWN = _with_switch("""
    world:eth0       > request    < reply
    master:enp0s8    < request    > reply
""")

#: The world asks a NodePort of master for a process of node1.
NODE_PORT_HOST = _with_switch("""
    world:eth0       > request       < reply
    master:enp0s8    < request       > request.nb    < reply.nb    > reply
    node1:enp0s8     < request.nb    > reply.nb
""")

_UPLINK = """
    {node}:enp0s8    > request{{form}}    < reply{{form}}
    switch:{node}    < request{{form}}    > reply{{form}}
"""
#: How a host's request leaves for another node or for the world, and how the answer comes back;
#: the pods' lxc apart. The wire is a bridge.
_LEAVING = {
    "pod1": "pod1:eth0 > request < reply" + _UPLINK.format(node="master"),
    "pod2": "pod2:eth0 > request < reply" + _UPLINK.format(node="node1"),
    "master": _UPLINK.format(node="master"),
    "node1": _UPLINK.format(node="node1"),
    "world": """
        world:eth0      > request{form}    < reply{form}
        switch:world    < request{form}    > reply{form}
    """,
}
_LXC = {"pod1": ("master:lxc1", "master"), "pod2": ("node1:lxc2", "node1")}


def between(off_wire: str, client: str, server: str, form: str = "") -> str:
    """The legs of any two of pod1, pod2, their nodes and the world; the form is the wire's."""
    for pod, node in ((client, server), (server, client)):
        if pod in _LXC and _LXC[pod][1] == node:  # a pod and its own node
            rows = OWN_NODE.replace("pod1", pod).replace("master:lxc1", _LXC[pod][0])
            return rows if pod == client else turned(rows)
    rows = f"{_leaving(off_wire, client)}\n{turned(_leaving(off_wire, server))}"
    return rows.format(form=form and f".{form}")


def _leaving(off_wire: str, host: str) -> str:
    """_LEAVING, with the host's lxc."""
    if host not in _LXC:
        return _LEAVING[host]
    lxc = _CLIENTS_LXC[off_wire].format(back="reply").replace("master:lxc1", _LXC[host][0])
    return f"{_LEAVING[host]}\n{lxc}"
