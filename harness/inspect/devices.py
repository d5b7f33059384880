# SPDX-License-Identifier: Apache-2.0
"""A node's devices: pods' ends of pairs, uplinks, tunnels, bridges; and what they counted."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from harness.plumbing.netlink_attributes import attribute, attributes, each_attribute
from harness.plumbing.netns import NetNS
from harness.plumbing.rtnetlink import Message, ask

# uapi/linux/rtnetlink.h, if_link.h, if_addr.h.
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFNAME, _LINK, _MASTER, _LINKINFO, _STATS64, _LINK_NETNSID, _TARGET = 3, 5, 10, 18, 23, 37, 46
_INFO_KIND = 1
_ADDRESS, _LOCAL, _ADDR_TARGET = 1, 2, 10
_RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 4, 5, 9, 18
_LINK_FIXED, _ADDR_FIXED, _ROUTE_FIXED = struct.Struct("=BxHiII"), struct.Struct("=BBBBI"), 12
_HOP = struct.Struct("=HBBi")  # struct rtnexthop
_LOOPBACK, _UP = 0x8, 0x1  # IFF_LOOPBACK, IFF_UP
_LINK_SCOPE = 253  # RT_SCOPE_LINK

PAIRS = ("veth", "netkit")
TUNNELS = ("vxlan", "geneve", "ipip", "sit", "gre", "gretap", "ip6tnl", "ip6gre", "ip6gretap",
           "wireguard", "vti", "xfrm")  # fmt: skip


@dataclass(frozen=True)
class Counters:
    """What a device counted: packets that came in by it, and that went out by it.

    Attributes:
        rx: In.
        tx: Out.
    """

    rx: int
    tx: int

    def __sub__(self, before: Counters) -> Counters:
        return Counters(self.rx - before.rx, self.tx - before.tx)


@dataclass(frozen=True)
class Device:
    """A device of the node.

    Attributes:
        name: Its name.
        ifindex: Its index.
        kind: `veth`, `netkit`, `vxlan`, …; "": a physical one.
        up: Whether it is set up.
        loopback: Whether it is `lo`.
        master: Index of the bridge or bond that it is a port of; 0: of none.
        nsid: Id of the namespace that the other end of the pair is in; None: in this one.
        peer: Index of the other end there; 0: there is none.
        counters: What it has counted.
    """

    name: str
    ifindex: int
    kind: str
    up: bool
    loopback: bool
    master: int
    nsid: int | None
    peer: int
    counters: Counters


@dataclass(frozen=True)
class Pod:
    """A pod's pair of devices.

    Attributes:
        lxc: The node's end.
        interface: What the pod calls its end; "": it cannot be asked.
        addresses: The pod's addresses, link-local ones left out.
    """

    lxc: Device
    interface: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Devices:
    """A node's devices by what they are for.

    Attributes:
        pods: Pods' pairs.
        uplinks: What leads off the node: devices with a next hop behind them, and physical ones.
        tunnels: Tunnels, also those with a next hop behind them.
        bridges: Bridges.
        ports: Port → its bridge or bond, by name.
    """

    pods: tuple[Pod, ...]
    uplinks: tuple[Device, ...]
    tunnels: tuple[Device, ...]
    bridges: tuple[Device, ...]
    ports: dict[str, str]

    @property
    def lxcs(self) -> list[Device]:
        """The node's ends of the pods' pairs."""
        return [pod.lxc for pod in self.pods]


def _device(message: Message) -> Device:
    _, _, ifindex, flags, _ = _LINK_FIXED.unpack(message[0])
    found = message[1]
    kind = attributes(found.get(_LINKINFO, b"")).get(_INFO_KIND, b"")
    return Device(
        _text(found.get(_IFNAME, b"")),
        ifindex,
        _text(kind),
        bool(flags & _UP),
        bool(flags & _LOOPBACK),
        _number(found.get(_MASTER)),
        _number(found[_LINK_NETNSID]) if _LINK_NETNSID in found else None,
        _number(found.get(_LINK)),
        Counters(*struct.unpack_from("=QQ", found.get(_STATS64, bytes(16)))),
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _number(value: bytes | None) -> int:
    return int(struct.unpack("=i", value)[0]) if value else 0


def links(ns: NetNS) -> list[Device]:
    """Every device of a namespace."""
    body = _LINK_FIXED.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    return [_device(each) for each in ask(ns, _GETLINK, body, _LINK_FIXED.size, dump=True)]


def far_end(ns: NetNS, device: Device) -> Device | None:
    """The other end of a pair, in its own namespace; None: it is gone.

    Raises:
        OSError: EPERM: without NET_ADMIN other namespaces are not shown.
    """
    body = _LINK_FIXED.pack(socket.AF_UNSPEC, 0, device.peer, 0, 0)
    body += attribute(_TARGET, struct.pack("=i", device.nsid or 0))
    try:
        return _device(ask(ns, _GETLINK, body, _LINK_FIXED.size, dump=False)[0])
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EINVAL, errno.ENOENT):
            raise
        return None


def addresses(ns: NetNS, nsid: int | None, ifindex: int) -> tuple[str, ...]:
    """A device's addresses, link-local ones left out.

    Args:
        ns: The namespace that is asked.
        nsid: Its id of the namespace that the device is in; None: in this one.
        ifindex: The device's index there.
    """
    body = _ADDR_FIXED.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    if nsid is not None:
        body += attribute(_ADDR_TARGET, struct.pack("=i", nsid))
    found = []
    for fixed, values in ask(ns, _GETADDR, body, _ADDR_FIXED.size, dump=True):
        _, _, _, scope, index = _ADDR_FIXED.unpack(fixed)
        value = values.get(_LOCAL) or values.get(_ADDRESS)
        if index == ifindex and value and scope < _LINK_SCOPE:
            found.append(str(ipaddress.ip_address(value)))
    return tuple(found)


def _with_next_hop(ns: NetNS) -> set[int]:
    """Devices that a route with a next hop leads out of."""
    found: set[int] = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        for _, values in _routes(ns, family):
            if _RTA_GATEWAY in values or _RTA_VIA in values:
                found.add(_number(values.get(_RTA_OIF)))
            found |= _hops(values.get(_RTA_MULTIPATH, b""))
    return found


def _routes(ns: NetNS, family: int) -> list[Message]:
    """A family's routes; none where the kernel was booted without it."""
    try:
        return ask(ns, _GETROUTE, struct.pack("=B11x", family), _ROUTE_FIXED, dump=True)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
            raise
        return []


def _hops(multipath: bytes) -> set[int]:
    found, at = set(), 0
    while at + _HOP.size <= len(multipath):
        length, _, _, ifindex = _HOP.unpack_from(multipath, at)
        if length < _HOP.size:
            break
        kinds = {kind for kind, _ in each_attribute(multipath[at + _HOP.size : at + length])}
        if kinds & {_RTA_GATEWAY, _RTA_VIA}:
            found.add(ifindex)
        at += length + 3 & ~3
    return found


def find(ns: NetNS) -> Devices:
    """Look at a node's devices.

    A pair whose other end is in another namespace is a pod's, unless a route with a next hop leads
    out of it: that is how a node is joined to others where nodes are namespaces too.

    Raises:
        OSError: The kernel refuses.
    """
    every = links(ns)
    outward = _with_next_hop(ns)
    return Devices(
        tuple(_pod(ns, each) for each in every if _is_pods(each, outward)),
        tuple(each for each in every if _is_uplink(each, outward)),
        tuple(each for each in every if each.kind in TUNNELS),
        tuple(each for each in every if each.kind == "bridge"),
        _ports(every),
    )


def _is_pods(device: Device, outward: Iterable[int]) -> bool:
    return device.kind in PAIRS and device.nsid is not None and device.ifindex not in outward


def _is_uplink(device: Device, outward: Iterable[int]) -> bool:
    if device.loopback or device.kind in TUNNELS:
        return False
    return device.ifindex in outward or (not device.kind and device.up)


def _pod(ns: NetNS, lxc: Device) -> Pod:
    try:
        end = far_end(ns, lxc)
        held = addresses(ns, lxc.nsid or 0, lxc.peer)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EINVAL):
            raise
        return Pod(lxc, "", ())
    return Pod(lxc, end.name if end else "", held)


def _ports(every: Iterable[Device]) -> dict[str, str]:
    names = {each.ifindex: each.name for each in every}
    return {each.name: names.get(each.master, "?") for each in every if each.master}
