# SPDX-License-Identifier: Apache-2.0
"""The request that makes a netkit pair (6.7), which pyroute2 cannot encode.

Both ends come into being in their namespaces, with their names, as a veth pair's do. Numbers from
uapi/linux/if_link.h and rtnetlink.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.plumbing.netlink_attributes import attribute, number
from harness.topology.addressing import mac_bytes

#: Topology.pod_device → the pair's mode. An L3 pair has no MACs and resolves no neighbours.
MODES = {"netkit": 0, "netkit-l3": 1}  # NETKIT_L2, NETKIT_L3
_NEW_LINK = 16  # RTM_NEWLINK
_FLAGS = 0x1 | 0x4 | 0x200 | 0x400  # NLM_F_REQUEST, _ACK, _EXCL, _CREATE
_HEADER, _LINK = struct.Struct("=IHHII"), struct.Struct("=BxHiII")  # nlmsghdr, ifinfomsg
_ADDRESS, _IFNAME, _MTU, _LINKINFO, _NET_NS_FD = 1, 3, 4, 18, 28  # IFLA_*
_KIND, _DATA = 1, 2  # IFLA_INFO_*
_PEER_INFO, _POLICY, _PEER_POLICY, _MODE = 1, 3, 4, 5  # IFLA_NETKIT_*
SCRUB, _PEER_SCRUB = 6, 7  # since 83134ef46093 (6.12)
_PASS = 0  # NETKIT_PASS: what happens to a packet where no program is attached
#: What becomes of mark and priority before the pair's programs run: kept, or zeroed.
SCRUB_NONE, SCRUB_DEFAULT = 0, 1


@dataclass(frozen=True)
class End:
    """One end of a pair.

    Attributes:
        ifname: What it is called.
        mac: Its MAC; unused in L3.
    """

    ifname: str
    mac: str


def request(
    primary: End, ifindex: int, peer: End, peer_ns: int, mtu: int, mode: int,
    scrub: int | None = None,
) -> bytes:  # fmt: skip
    """A netlink message that makes a pair, to be sent in the primary's namespace.

    Args:
        primary: The node's end, through which programs of both directions are attached.
        ifindex: The primary's.
        peer: The pod's end; the kernel numbers it.
        peer_ns: A descriptor of the peer's namespace.
        mtu: Of both ends, bytes.
        mode: One of `MODES`.
        scrub: `SCRUB_NONE` or `SCRUB_DEFAULT`, for both directions; None: not mentioned, for
            kernels that do not know the attribute.
    """
    placed = _LINK.pack(0, 0, 0, 0, 0) + _end(peer, mtu, mode) + number(_NET_NS_FD, peer_ns)
    data = attribute(_PEER_INFO, placed) + number(_MODE, mode)
    data += number(_POLICY, _PASS) + number(_PEER_POLICY, _PASS)
    if scrub is not None:
        data += number(SCRUB, scrub) + number(_PEER_SCRUB, scrub)
    info = attribute(_KIND, b"netkit\0") + attribute(_DATA, data)
    body = _LINK.pack(0, 0, ifindex, 0, 0) + _end(primary, mtu, mode) + attribute(_LINKINFO, info)
    return _HEADER.pack(_HEADER.size + len(body), _NEW_LINK, _FLAGS, 0, 0) + body


def _end(end: End, mtu: int, mode: int) -> bytes:
    fields = attribute(_IFNAME, end.ifname.encode() + b"\0") + number(_MTU, mtu)
    if mode == MODES["netkit"]:  # L3 refuses it
        fields += attribute(_ADDRESS, mac_bytes(end.mac))
    return fields
