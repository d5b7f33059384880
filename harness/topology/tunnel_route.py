# SPDX-License-Identifier: Apache-2.0
"""The request for a route with a lightweight tunnel of IP's, which pyroute2 cannot encode.

What follows such a route is given outer addresses and a key, for the device to send them with
(lwtunnel(8), net/ipv4/ip_tunnel_core.c). Numbers from uapi/linux/rtnetlink.h and lwtunnel.h.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from harness.plumbing.netlink_attributes import attribute, number
from harness.topology.addressing import Family

_NEW_ROUTE = 24  # RTM_NEWROUTE
_FLAGS = 0x1 | 0x4 | 0x200 | 0x400  # NLM_F_REQUEST, _ACK, _EXCL, _CREATE
_HEADER, _ROUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBBBBBI")  # nlmsghdr, rtmsg
_MAIN, _STATIC, _UNIVERSE, _UNICAST = 254, 4, 0, 1  # RT_TABLE_, RTPROT_, RT_SCOPE_, RTN_*
_DST, _OIF, _GATEWAY, _ENCAP_TYPE, _ENCAP = 1, 4, 5, 21, 22  # RTA_*
_KIND = {Family.ipv4: 2, Family.ipv6: 4}  # LWTUNNEL_ENCAP_IP, _IP6
_ID, _REMOTE = 1, 2  # LWTUNNEL_IP_ID and _DST; LWTUNNEL_IP6_* are the same


def request(destination: str, ifindex: int, remote: str, key: int, gateway: str = "") -> bytes:
    """A netlink message that adds a route.

    Args:
        destination: Network of the packets that are sent into the tunnel.
        ifindex: Of the device that they leave by.
        remote: The outer packets' destination.
        key: The tunnel's number.
        gateway: The next hop; empty: none.
    """
    network: IPv4Network | IPv6Network = ip_network(destination)
    tunnel = attribute(_ID, struct.pack("!Q", key))
    tunnel += attribute(_REMOTE, ip_address(remote).packed)
    body = _ROUTE.pack(
        Family(network.version).af, network.prefixlen, 0, 0, _MAIN, _STATIC, _UNIVERSE, _UNICAST, 0
    )
    body += attribute(_DST, network.network_address.packed) + number(_OIF, ifindex)
    if gateway:
        body += attribute(_GATEWAY, ip_address(gateway).packed)
    body += attribute(_ENCAP_TYPE, struct.pack("=H", _KIND[Family.of(remote)]))
    body += attribute(_ENCAP, tunnel)
    return _HEADER.pack(_HEADER.size + len(body), _NEW_ROUTE, _FLAGS, 0, 0) + body
