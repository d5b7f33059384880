# SPDX-License-Identifier: Apache-2.0
"""Hosts of a topology: a namespace with interfaces, and what can be changed about it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from pyroute2.ethtool.ioctl import IoctlEthtool
from pyroute2.netlink.exceptions import NetlinkError

from harness.plumbing.errors import KernelError
from harness.plumbing.netlink_batch import Batch, Fields, operational_states
from harness.plumbing.netns import NetNS
from harness.plumbing.rtnetlink import every_address
from harness.plumbing.signals import interrupt_if_due
from harness.topology import addressing as plan
from harness.topology import netkit, tunnel_route
from harness.topology.addressing import Addresses, Family

POD_IF = "eth0"
_LOOPBACK = {"lo": 1}  # LOOPBACK_IFINDEX, include/net/flow.h
_SETTLE_SECONDS = 60.0  # a moment; an emulated machine that does other work takes seconds
_PERMANENT = 0x80  # NUD_PERMANENT, uapi/linux/neighbour.h
_LOCAL = 1 << 31  # RTF_LOCAL, uapi/linux/ipv6_route.h
_MLD_TIMER_RUNNING = 0x01  # MAF_TIMER_RUNNING, include/net/if_inet6.h
_SIOCGIFMTU = 0x8921  # uapi/linux/sockios.h
_ETHERNET, _UP = 1, 1  # ARPHRD_ETHER, uapi/linux/if_arp.h; IFF_UP, uapi/linux/if.h
_ANY_SCOPE = 255  # RT_SCOPE_NOWHERE, uapi/linux/rtnetlink.h
_OFFLOADS = ("tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation",
             "tx-generic-segmentation", "tx-scatter-gather")  # fmt: skip


class Host:
    """A namespace with its interfaces.

    Attributes:
        name: `master`, `pod1`, `world`, `switch`.
        ns: The namespace.
        addresses: Its main address in each family.
        links: Interface name → ifindex.
        macs: Interface name → MAC.
    """

    def __init__(self, name: str, addresses: Addresses) -> None:
        self.name = name
        self.addresses = addresses
        self.ns = NetNS(name)
        self.links = dict(_LOOPBACK)
        self.macs: dict[str, str] = {}
        self._adopted: set[str] = set()
        self._batch: Batch | None = None

    def __repr__(self) -> str:
        return self.name

    def ifindex(self, ifname: str) -> int:
        """The index of an interface, asked of the kernel once: see `forget_indexes`."""
        if ifname not in self.links:
            with self.ns:
                self.links[ifname] = socket.if_nametoindex(ifname)
        return self.links[ifname]

    def forget_indexes(self) -> None:
        """Ask the kernel anew for every index: a device may have been made anew meanwhile."""
        self.links = dict(_LOOPBACK)

    def mtu(self, ifname: str) -> int:
        """The MTU of an interface as it is now, bytes."""
        request = struct.pack("16si12x", ifname.encode(), 0)  # struct ifreq, netdevice(7)
        with closing(self.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)) as channel:
            answer = fcntl.ioctl(channel, _SIOCGIFMTU, request)
        return int(struct.unpack("16si12x", answer)[1])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send the changes that are asked for meanwhile at once, when the context ends."""
        self._batch = Batch(self.ns)
        try:
            yield
            self._batch.send()
        finally:
            self._batch = None

    def _ask(
        self, method: str, command: str, tolerated: tuple[int, ...] = (), **fields: Any
    ) -> None:
        batch = self._batch or Batch(self.ns)
        batch.add(method, command, tolerated, **fields)
        if batch is not self._batch:
            batch.send()

    def up(self, ifname: str) -> None:
        """Set an interface up."""
        self._ask("link", "set", index=self.ifindex(ifname), state="up")

    def add_veth(self, ifname: str, ifindex: int, peer: Host, peer_if: str, mtu: int) -> None:
        """Make a veth pair, one end here and the other at a peer, with the MACs of both.

        Args:
            ifname: The end here.
            ifindex: Its index.
            peer: Where the other end goes; the kernel numbers it.
            peer_if: What it is called there.
            mtu: Of both ends, bytes.
        """
        self.links[ifname] = ifindex
        self._ask(
            "link", "add", kind="veth", ifname=ifname, address=self.macs[ifname], mtu=mtu,
            index=ifindex,
            peer=Fields(ifname=peer_if, net_ns_fd=peer.ns.fileno(), address=peer.macs[peer_if],
                        mtu=mtu),
        )  # fmt: skip

    def add_netkit(
        self, ifname: str, ifindex: int, peer: Host, peer_if: str, mtu: int, mode: int,
        scrub: int | None = None,
    ) -> None:  # fmt: skip
        """Make a netkit pair: its primary here, its peer in a pod.

        Args:
            ifname: The primary.
            ifindex: Its index.
            peer: Where the other end goes; the kernel numbers it.
            peer_if: What it is called there.
            mtu: Of both ends, bytes.
            mode: One of `netkit.MODES`.
            scrub: See `netkit.request`.

        Raises:
            KernelError: The kernel has no netkit.
            NetlinkError: It refuses for another reason.
        """
        self.links[ifname] = ifindex
        ends = (netkit.End(ifname, self.macs[ifname]), netkit.End(peer_if, peer.macs[peer_if]))
        batch = Batch(self.ns)
        batch.take(
            netkit.request(ends[0], ifindex, ends[1], peer.ns.fileno(), mtu, mode, scrub)
        )  # fmt: skip
        try:
            batch.send()
        except NetlinkError as error:
            if error.code != errno.EOPNOTSUPP:
                raise
            raise KernelError(
                f"the kernel makes no netkit pair ({os.strerror(error.code)})",
                "take one that has CONFIG_NETKIT (since 6.7), or pod_device=veth",
            ) from None

    def adopt_devices(self) -> None:
        """Take up the Ethernet devices that somebody else made here and set up, as ours.

        Those that were taken up before and are gone are forgotten.
        """
        for ifname in self._adopted:
            self.macs.pop(ifname, None)
            self.links.pop(ifname, None)
        self._adopted.clear()
        for link in self.ns.netlink.get_links():
            ifname, flags = link.get_attr("IFLA_IFNAME"), link["flags"]
            if ifname in self.macs or link["ifi_type"] != _ETHERNET or not flags & _UP:
                continue
            self.macs[ifname] = link.get_attr("IFLA_ADDRESS")
            self.links[ifname] = link["index"]
            self._adopted.add(ifname)

    def down(self, ifname: str) -> None:
        """Set an interface down."""
        self.ns.netlink.link("set", index=self.ifindex(ifname), state="down")

    def add_address(self, ifname: str, address: str, prefix: int) -> None:
        """Add an address; IPv6 answers for it a moment later: see `await_settled`."""
        self._ask("addr", "add", index=self.ifindex(ifname), address=address, prefixlen=prefix)

    def delete_address(self, ifname: str, address: str, prefix: int) -> None:
        """Take an address away again."""
        self.ns.netlink.addr("del", index=self.ifindex(ifname), address=address, prefixlen=prefix)

    def all_addresses(self) -> list[str]:
        """Every address that its interfaces have now, of both families."""
        return every_address(self.ns)

    def await_settled(self) -> None:
        """Return when nothing that was set up here is still on its way in the kernel.

        Three are waited for, in this order. linkwatch: a veth end that came up before its peer gets
        its queue from it, and until then drops what it is given; and it announces the change, upon
        which every multicast group is reported again (NETDEV_CHANGE in addrconf_notify(),
        net/ipv6/addrconf.c). IFF_RUNNING does not tell: it is set, too, as long as linkwatch has
        not come to look at a new link at all. addrconf's worker: it joins an address's multicast
        group, with an MLD report, and only then clears the address's tentative flag. MLD's timer:
        it sends a group's second report.

        Raises:
            KernelError: A link or an address is not ready after a minute.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        while late := self._unsettled():
            interrupt_if_due()
            if time.monotonic() > deadline:
                raise KernelError(
                    f"{late[0]} of {self.name} is not ready after {_SETTLE_SECONDS:g} s",
                    "look at the kernel's log",
                )

    def _unsettled(self) -> list[str]:
        return self._links_not_up() or self._unrouted_addresses() or self._groups_to_report()

    def _groups_to_report(self) -> list[str]:
        """Multicast groups whose MLD timer runs: index, device, group, users, flags, timer."""
        rows = (line.split() for line in self.ns.read("/proc/net/igmp6").splitlines())
        return [row[2] for row in rows if int(row[4], 16) & _MLD_TIMER_RUNNING]

    def _links_not_up(self) -> list[str]:
        """Interfaces that we made whose operational state is anything but up."""
        own = [ifname for ifname in self.macs if ifname not in self._adopted]
        states = operational_states(self.ns, [self.ifindex(ifname) for ifname in own])
        return [ifname for ifname, state in zip(own, states, strict=True) if state != "UP"]

    def _unrouted_addresses(self) -> list[str]:
        """IPv6 addresses that have no local route yet: tentative ones, and some that are not.

        Addresses: address, index, prefix length, scope, flags, device. Routes: destination first,
        flags and device last.
        """
        rows = (line.split() for line in self.ns.read("/proc/net/if_inet6").splitlines())
        held = {(row[0], row[5]) for row in rows}
        routes = (line.split() for line in self.ns.read("/proc/net/ipv6_route").splitlines())
        local = {(row[0], row[-1]) for row in routes if int(row[-2], 16) & _LOCAL}
        return [address for address, _ in sorted(held - local)]

    def add_route(self, destination: str, **spec: Any) -> None:
        """Add a route; `dev` names an interface, the rest is pyroute2's."""
        self._route("add", destination, spec)

    def add_tunnel_route(
        self, destination: str, dev: str, remote: str, key: int, gateway: str = ""
    ) -> None:  # fmt: skip
        """Add a route with a lightweight tunnel; see `tunnel_route.request`."""
        batch = Batch(self.ns)
        batch.take(
            tunnel_route.request(destination, self.ifindex(dev), remote, key, gateway)
        )  # fmt: skip
        batch.send()

    def delete_route(self, destination: str, **spec: Any) -> None:
        """Delete a route."""
        self._route("del", destination, {"scope": _ANY_SCOPE} | spec)

    def _route(self, command: str, destination: str, spec: dict[str, Any]) -> None:
        if "dev" in spec:
            spec["oif"] = self.ifindex(spec.pop("dev"))
        family = Family.ipv6 if ":" in f"{destination}{spec.get('gateway', '')}" else Family.ipv4
        self._ask("route", command, dst=destination, family=family.af, **spec)

    def add_neighbour(self, ifname: str, address: str, mac: str) -> None:
        """Add, or overwrite, a neighbour that is never resolved nor forgotten."""
        self._ask(
            "neigh", "replace", dst=address, lladdr=mac, ifindex=self.ifindex(ifname),
            state=_PERMANENT, family=Family.of(address).af,
        )  # fmt: skip

    def delete_neighbour(self, ifname: str, address: str) -> None:
        """Forget a neighbour, so that the next packet must resolve it."""
        self.ns.netlink.neigh(
            "del", dst=address, ifindex=self.ifindex(ifname),
            family=Family.of(address).af,
        )  # fmt: skip

    def neighbours(self, family: Family) -> dict[str, str]:
        """Address → MAC of every neighbour whose MAC is known."""
        table = {}
        for entry in self.ns.netlink.get_neighbours(family=family.af):
            mac = entry.get_attr("NDA_LLADDR")
            if mac:
                table[entry.get_attr("NDA_DST")] = mac
        return table

    def delete_link(self, ifname: str) -> None:
        """Delete a device, and its peer with it."""
        self.ns.netlink.link("del", index=self.ifindex(ifname))
        self.links.pop(ifname)

    def offloads_off(self, ifname: str) -> None:
        """Switch segmentation and checksum offloads off: `ethtool -K … tso off gso off tx off`."""
        with self.ns, closing(IoctlEthtool(ifname)) as ethtool:
            features = ethtool.get_features()
            for name in _OFFLOADS:
                if name in features:
                    features[name] = False
            ethtool.set_features(features)

    def close(self) -> None:
        """Let the namespace go."""
        self.ns.close()


class Pod(Host):
    """A pod: one interface, `eth0`; the other end is `lxcN` in its node.

    Attributes:
        node: The node it runs on.
        number: N of its `lxcN`.
        more: Addresses that it was given besides the main ones: see `Network.assign`.
    """

    def __init__(self, number: int, node: Node, addresses: Addresses) -> None:
        super().__init__(f"pod{number}", addresses)
        self.node = node
        self.number = number
        self.lxc = f"lxc{number}"
        self.more: list[str] = []
        self.macs[POD_IF] = plan.mac("pod", number)

    @property
    def mac(self) -> str:
        """The MAC of its eth0."""
        return self.macs[POD_IF]

    @property
    def lxc_mac(self) -> str:
        """The MAC of its lxc."""
        return self.node.macs[self.lxc]

    def every_address(self, family: Family) -> list[str]:
        """Every address that it was given, the main one first."""
        more = [address for address in self.more if Family.of(address) is family]
        return [self.addresses[family], *more]

    def renew(self) -> None:
        """Take a namespace of its own in place of the one it had."""
        old, self.ns = self.ns, NetNS(self.name)
        self.forget_indexes()
        old.close()


class Node(Host):
    """A node.

    Attributes:
        number: From 1.
        pods: The pods it runs.
        gateway: The address its pods send everything to.
        uplinks: Its interfaces on the wires, in the wires' order; none: it hangs on no wire.
    """

    def __init__(self, number: int, name: str) -> None:
        super().__init__(name, plan.node_uplink(number))
        self.uplinks: list[str] = []
        self.number = number
        self.pods: list[Pod] = []
        self.gateway = plan.gateway(number)

    @property
    def uplink(self) -> str:
        """The first uplink.

        Raises:
            IndexError: It has none.
        """
        return self.uplinks[0]

    def hold_gateway(self) -> None:
        """Give the pods' gateway to every lxc that lacks it; `await_settled` follows."""
        with self.together():
            for pod in self.pods:
                for family in Family:
                    self._ask(
                        "addr", "add", (errno.EEXIST,), index=self.ifindex(pod.lxc),
                        address=self.gateway[family], prefixlen=family.host_prefix,
                    )  # fmt: skip
