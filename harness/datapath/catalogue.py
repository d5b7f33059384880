# SPDX-License-Identifier: Apache-2.0
"""The catalogue of what host routing must do, HR-01 to HR-87.

A test asserts an entry by carrying its id in its name: `test_hr07_…`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """An entry of the catalogue.

    Attributes:
        title: What is asserted, in a few words.
        later: Empty, or why no test asserts it yet.
        core: Whether it is of the core: a datapath that bypasses the stack cannot decline it, but
            for a test of it that rests on a claim whose row lists the entry.
    """

    title: str
    later: str = ""
    core: bool = False


_MASQUERADE = "not in this version: masquerade.c"
_ENCAP = "not in this version: encap.c"
_ROUTES = "not in this version"

CATALOGUE: dict[str, Entry] = {
    "HR-01": Entry("programs attached, hit counters rise", core=True),
    "HR-02": Entry("netfilter hooks count nothing (legacy: all)", core=True),
    "HR-03": Entry("no conntrack entry (legacy: one)", core=True),
    "HR-04": Entry("passes a forward policy of drop (legacy: lost)", core=True),
    "HR-05": Entry("passes a netdev hook's drop on the NIC (legacy: lost)"),
    "HR-06": Entry("unmet requirement: Legacy, reason, legacy legs"),
    "HR-07": Entry("legs, same node", core=True),
    "HR-08": Entry("legs, two nodes", core=True),
    "HR-09": Entry("bpf-redirect: legs as legacy, bypass as bpf"),
    "HR-10": Entry("legs, pod and its own node", core=True),
    "HR-11": Entry("tc egress drop on the server's lxc"),
    "HR-12": Entry("each leg once per packet, in order, 1 and 1,000", core=True),
    "HR-13": Entry("TTL and hop limit: 63, 62, 63 on the wire"),
    "HR-14": Entry("frames at the pod: MACs", core=True),
    "HR-15": Entry("frames on the wire: MACs", core=True),
    "HR-16": Entry("gateway's ARP and NS answered in BPF"),
    "HR-17": Entry("TTL 1: time exceeded reaches the pod"),
    "HR-18": Entry("checksums valid at every tap, offloads on and off", core=True),
    "HR-19": Entry("blackhole, unreachable, prohibit: dropped, counted"),
    "HR-20": Entry("the node answers for its own other addresses"),
    "HR-21": Entry("no route: the pod gets unreachable"),
    "HR-22": Entry("lxc forwarding off: code 5 off the node, local passes"),
    "HR-23": Entry("link-local and multicast are not routed"),
    "HR-24": Entry("ip rule and other tables; fwmark", _ROUTES),
    "HR-25": Entry("multipath: flows spread", _ROUTES),
    "HR-26": Entry("IPv4 through an IPv6 next hop", _ROUTES),
    "HR-27": Entry("cold neighbour: the first packet arrives, one ARP/NS", core=True),
    "HR-28": Entry("next hop changes its MAC: traffic recovers"),
    "HR-29": Entry("neighbour that never answers: code 7, no loop"),
    "HR-30": Entry("MTU passes; MTU + 1 with DF: frag needed"),
    "HR-31": Entry("MTU + 1 without DF: fragments arrive whole"),
    "HR-32": Entry("a route's own mtu", _ROUTES),
    "HR-33": Entry("a GSO TCP stream arrives intact, no code 8", core=True),
    "HR-34": Entry("ingress policy deny"),
    "HR-35": Entry("egress policy deny"),
    "HR-36": Entry("tunnel", _ENCAP),
    "HR-37": Entry("skb mark and tstamp across the border"),
    "HR-38": Entry("pod RX counters rise; the lxc's TX does not"),
    "HR-39": Entry("redirect_peer misdirected: dropped, no splat"),
    "HR-40": Entry("masquerade: the world sees the node"),
    "HR-41": Entry("ICMP error for a masqueraded flow", _MASQUERADE),
    "HR-42": Entry("ClusterIP and NodePort, one node and two"),
    "HR-43": Entry("host route deleted, rp_filter on: passes (legacy: lost)"),
    "HR-44": Entry("no kernel splat during the run", core=True),
    "HR-45": Entry("spoofed source dropped"),
    "HR-46": Entry("backlog enqueues a round trip: 2 (stack: 4)"),
    "HR-47": Entry("OTHERHOST frame redirected to a pod: delivered"),
    "HR-48": Entry("redirect helpers misused: dropped, counted"),
    "HR-49": Entry("policy without rules changes nothing"),
    "HR-50": Entry("policy by network, protocol, port; deny wins"),
    "HR-51": Entry("replies pass default deny; nothing else begins"),
    "HR-52": Entry("ICMP errors: those about a live flow pass policy"),
    "HR-53": Entry("fragments pass policy, or fall, with their first"),
    "HR-54": Entry("every denial counted once, under its reason"),
    "HR-55": Entry("options, tags, broadcast: no way round policy"),
    "HR-56": Entry("a changed rule reaches established flows"),
    "HR-57": Entry("flows expire, close, and begin anew"),
    "HR-58": Entry("services: flows spread over backends, each keeps its own"),
    "HR-59": Entry("affinity: a client keeps its backend"),
    "HR-60": Entry("hairpin: a pod that is its own backend sees the gateway"),
    "HR-61": Entry("no backend: port unreachable, quoting the front"),
    "HR-62": Entry("backends that are processes of a node"),
    "HR-63": Entry("ICMP errors about a service's flows"),
    "HR-64": Entry("fragments of a service's flows"),
    "HR-65": Entry("Local: the backend sees the client; none here: silence"),
    "HR-66": Entry("one client port through two fronts to one backend"),
    "HR-78": Entry("TCX: listed by link, in order; no qdisc; detached at once"),
    "HR-79": Entry("netkit: legs, TTL; ARP and NS only in L2"),
    "HR-80": Entry("netkit's scrub: mark and priority zeroed, or kept"),
    "HR-81": Entry("the stack is bypassed on netkit pairs too"),
    "HR-82": Entry("redirect_peer with BPF_F_EGRESS: out of the pod's device"),
    "HR-86": Entry("nothing asked for, nothing compiled in"),
}
