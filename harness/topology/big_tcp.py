# SPDX-License-Identifier: Apache-2.0
"""BIG TCP: how large a packet may be that is cut into segments later, of either family.

A device has two limits a family: of what it is given to send, and of what is joined on receipt.
"""

from __future__ import annotations

from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from harness.plumbing.netns import NetNS

# pyroute2 0.9 knows the attributes up to IFLA_ALLMULTI; two later ones are wanted here (enum in
# uapi/linux/if_link.h).
_KNOWN = [name for name, _ in ifinfmsg.nla_map]
if "IFLA_GSO_IPV4_MAX_SIZE" not in _KNOWN:
    ifinfmsg.nla_map += (
        ("IFLA_DEVLINK_PORT", "hex"),
        ("IFLA_GSO_IPV4_MAX_SIZE", "uint32"),
        ("IFLA_GRO_IPV4_MAX_SIZE", "uint32"),
    )

#: Family → an attribute that the kernel tells of a device since it has BIG TCP of that family:
#: 5.19 and 6.3.
TELLS = {4: "IFLA_GSO_IPV4_MAX_SIZE", 6: "IFLA_TSO_MAX_SIZE"}


_LIMITS = {
    6: ("gso_max_size", "gro_max_size"),
    4: ("gso_ipv4_max_size", "gro_ipv4_max_size"),
}


def allow(ns: NetNS, ifindex: int, size: int) -> None:
    """Let a device send and receive packets of so many bytes, of each family that can.

    A kernel without BIG TCP refuses more than 64 KiB (EINVAL): a test asks for the feature
    first.
    """
    for family, limits in _LIMITS.items():
        for limit in limits if known(ns, family) else ():
            ns.netlink.link("set", index=ifindex, **{limit: size})


def known(ns: NetNS, family: int) -> bool:
    """Whether the kernel has it."""
    (link,) = ns.netlink.get_links(1)
    return link.get_attr(TELLS[family]) is not None
