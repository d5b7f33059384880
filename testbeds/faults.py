# SPDX-License-Identifier: Apache-2.0
"""Faults and probes that the suites put on a testbed's nodes, all inside its namespaces."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from harness.attach import EGRESS, HOOKS, INGRESS, Attachment, attach_first
from harness.bpf import pool, syscall
from harness.bpf.module import Module
from harness.bpf.source import Patch, Source
from harness.testbed import Actor
from harness.topology import Addresses, Family, Host
from harness.topology.addressing import mac

TC_ACT_UNSPEC = -1  # the next program decides
BPF_F_INGRESS, BPF_F_EGRESS = 1, 2  # uapi/linux/bpf.h; the second since 7.3
TC_ACT_SHOT = 2
TC_ACT_OK, UNKNOWN_VERDICT = 0, 99
TC_ACT_REDIRECT = 7
_RETURNS = 8  # size of the map `returned`, bpf/misuse.c


def forward_policy_drop(node: Actor) -> None:
    """Netfilter drops whatever the node's stack would forward."""
    node.ns.run(["nft", "-f", "-"], stdin=(
        "table inet fault { chain forward { type filter hook forward priority 0; policy drop; }; }"
    ))  # fmt: skip


def netdev_drop(node: Actor, hook: str, device: str = "enp0s8") -> None:
    """Netfilter drops all IP at a device's netdev hook, `ingress` or `egress` (5.16 and later).

    netkit marks what a pod sends to skip the egress hook (netkit_prep_forward(), netkit.c). The
    stack clears the mark only while any device of the machine has an ingress hook
    (__netif_receive_skb_core(), net/core/dev.c): so this one has, whatever else is attached.
    """
    chain = f"type filter hook {{}} device {device} priority 0; policy accept;"
    node.ns.run(["nft", "-f", "-"], stdin=(
        f"table netdev fault {{ chain seen {{ {chain.format('ingress')} }};"
        f" chain fault {{ {chain.format(hook)} meta protocol {{ ip, ip6 }} drop; }}; }}"
    ))  # fmt: skip


def mute_redirects(node: Actor) -> None:
    """The node's stack sends no ICMPv6 redirect, for which IPv6 has no sysctl.

    It sends them for what leaves by the interface that it came by, ip6_forward(), three at once.
    """
    node.ns.run(["nft", "-f", "-"], stdin=(
        "table ip6 mute { chain output { type filter hook output priority 0; policy accept;"
        " icmpv6 type nd-redirect drop; }; }"
    ))  # fmt: skip


@contextmanager
def program_returning(verdict: int) -> Iterator[int]:
    """A tc program that returns a verdict and does nothing else; gives its descriptor."""
    code = syscall.instruction(syscall.MOV64_IMM, dst=0, imm=verdict)
    fd = syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, code + syscall.instruction(syscall.EXIT))
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def tc_egress_drop(node: Actor, interface: str) -> Iterator[None]:
    """A tc program drops whatever is transmitted through an interface."""
    ifindex = node.ifindex(interface)
    with (
        program_returning(TC_ACT_SHOT) as fd,
        attach_first(node.ns, interface, ifindex, EGRESS, fd, "drop"),
    ):
        yield


@contextmanager
def unknown_verdict(node: Actor, interface: str, hook: str) -> Iterator[None]:
    """A program says of whatever enters through an interface what no kernel understands."""
    ifindex = node.ifindex(interface)
    with (
        program_returning(UNKNOWN_VERDICT) as fd,
        HOOKS[hook].attach(node.ns, ifindex, INGRESS, fd, "unknown"),
    ):
        yield


def _first(
    host: Actor, interface: str, direction: str, module: Module, program: str
) -> Attachment:  # fmt: skip
    """Attach a program before whatever is on an interface."""
    ifindex, fd = host.ifindex(interface), module.fd(program)
    return attach_first(host.ns, interface, ifindex, direction, fd, program)


def _close(attached: list[Attachment], module: Module) -> None:
    """Detach what a probe attached, and give its programs back."""
    with ExitStack() as closing:
        closing.callback(pool.give_back, module)
        while attached:
            closing.callback(attached.pop().detach)


@contextmanager
def host_behind(node: Actor, device: str, network: Addresses) -> Iterator[Addresses]:
    """A host behind a device of the node that is no uplink, as of another container runtime.

    Args:
        node: The node.
        device: What the device is called.
        network: The first 24, or 64, bits of the addresses, as in `172.17.0.` and `fd00:17::`. The
            node gets 1 there.

    Yields:
        The host's addresses.
    """
    own = Addresses(*(f"{network[family]}2" for family in Family))
    macs = [mac("behind", number) for number in (1, 2)]
    with closing(Host("behind", own)) as host:
        host.ns.sysctls({"ipv6/conf/default/accept_dad": 0})
        host.macs["eth0"] = macs[1]
        peer = {"ifname": "eth0", "net_ns_fd": host.ns.fileno(), "address": macs[1]}
        node.ns.netlink.link("add", kind="veth", ifname=device, address=macs[0], peer=peer)
        # The end that comes up last sends at once, the other when linkwatch has seen to it.
        host.up("eth0")
        node.up(device)
        for family in Family:
            prefix, first = 24 if family == 4 else 64, f"{network[family]}1"
            node.add_address(device, first, prefix)
            host.add_address("eth0", own[family], prefix)
            node.add_neighbour(device, own[family], macs[1])
            host.add_neighbour("eth0", first, macs[0])
            host.add_route("default", dev="eth0", gateway=first)
        host.await_settled()
        yield own


class HelperCall:
    """bpf/misuse.c: a redirect helper called with the arguments a test gives.

    Attributes:
        module: The loaded program.
        patches: Changes of its source, for the controls.
    """

    patches: tuple[Patch, ...] = ()

    def __init__(self) -> None:
        source = Source(("compat.h", "misuse.c"), patches=self.patches)
        self.module = pool.take(source, {"call_helper": syscall.PROG_TYPE_SCHED_CLS})
        self._attached: list[Attachment] = []
        try:
            self.module.empty("returned")
        except BaseException:
            self.close()
            raise

    def put(
        self, node: Actor, interface: str, helper: str, ifindex: int, flags: int = 0,
        direction: str = INGRESS,
    ) -> None:  # fmt: skip
        """Call `redirect_peer` or `redirect_neigh` on every IP packet at a hook."""
        table = self.module.table("wanted")
        number = {"redirect_peer": 0, "redirect_neigh": 1}[helper]
        table[ctypes.c_int(0)] = table.Leaf(number, ifindex, flags)
        self._attached.append(_first(node, interface, direction, self.module, "call_helper"))

    def close(self) -> None:
        """Detach first, so that MLD reports sent during teardown are not counted; give it back."""
        _close(self._attached, self.module)

    def returned(self) -> dict[int, int]:
        """What the helper returned → how often."""
        table = self.module.table("returned")
        counts = {value: int(sum(table[ctypes.c_int(value)])) for value in range(_RETURNS)}
        return {value: count for value, count in counts.items() if count}


class Metadata:
    """bpf/border.c: what of a packet's metadata crosses the namespace border."""

    def __init__(self) -> None:
        programs = ("write_metadata", "read_metadata")
        self.module = pool.take(
            Source(("border.c",)), dict.fromkeys(programs, syscall.PROG_TYPE_SCHED_CLS)
        )
        self._attached: list[Attachment] = []
        try:
            self.read_anew()
        except BaseException:
            self.close()
            raise

    def write_at(
        self, node: Actor, interface: str, mark: int, tstamp: int, priority: int = 0
    ) -> None:
        """Give all that enters through an interface a mark, a timestamp (ns) and a priority."""
        table = self.module.table("written")
        table[ctypes.c_int(0)] = table.Leaf(tstamp=tstamp, mark=mark, priority=priority)
        self._attached.append(_first(node, interface, INGRESS, self.module, "write_metadata"))

    def read_at(self, host: Actor, interface: str = "eth0", direction: str = INGRESS) -> None:
        """Read them from every packet that enters through an interface, or leaves."""
        self._attached.append(_first(host, interface, direction, self.module, "read_metadata"))

    def read_anew(self) -> None:
        """Forget what was read."""
        table = self.module.table("read")
        table[ctypes.c_int(0)] = table.Leaf()

    def close(self) -> None:
        """Detach, and give the programs back."""
        _close(self._attached, self.module)

    def seen(self) -> dict[str, int]:
        """What was read of the last packet, and how many `packets` were.

        `mark`, `tstamp`, `priority`, `pkt_type`, `ingress_ifindex`.
        """
        leaf = self.module.table("read")[ctypes.c_int(0)]
        return {name: int(getattr(leaf, name)) for name, _ in leaf._fields_}
