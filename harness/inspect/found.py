# SPDX-License-Identifier: Apache-2.0
"""What is there, on a node: everything that may touch its pods' packets. Reads only."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from harness.bpf.symbols import Symbols, read_symbols
from harness.inspect import devices, kernel, programs, rules
from harness.inspect.devices import Devices
from harness.inspect.kernel import Kernel
from harness.inspect.notes import Notes
from harness.inspect.programs import AtCgroup, Program
from harness.inspect.rules import Rules
from harness.plumbing.netns import NetNS
from harness.plumbing.rtnetlink import ask

_SYSCTLS = ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/all/rp_filter")
# uapi/linux/xfrm.h: XFRM_MSG_GETSA and GETPOLICY, NETLINK_XFRM.
_GETSA, _GETPOLICY, _XFRM = 0x12, 0x15, 6
# uapi/linux/rtnetlink.h: RTM_GETQDISC and GETTFILTER, struct tcmsg, TCA_KIND and TCA_OPTIONS.
_GETQDISC, _GETFILTER, _TC, _KIND, _OPTIONS = 38, 46, struct.Struct("=B3xiIII"), 1, 2
#: The kind of an action, as it stands somewhere in a filter's options.
_MIRRED = b"mirred\0"
_PARENTS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}


@dataclass(frozen=True)
class Filter:
    """A tc filter without a BPF program.

    Attributes:
        interface: The device.
        direction: `ingress` or `egress`.
        kind: `flower`, `matchall`, `u32`, ….
        mirred: Whether it redirects or mirrors by the action mirred.
    """

    interface: str
    direction: str
    kind: str
    mirred: bool


@dataclass(frozen=True)
class Found:
    """What is there.

    Attributes:
        node: What was looked at.
        kernel: The kernel.
        devices: The devices.
        programs: Programs on devices' hooks.
        sockets: Programs of the root cgroup.
        filters: tc's other filters.
        rules: The firewall.
        sysctls: Forwarding and rp_filter, of the node and of its devices.
        xfrm: How many IPsec policies and states; None: not asked, or not there.
    """

    node: str
    kernel: Kernel
    devices: Devices
    programs: list[Program]
    sockets: list[AtCgroup]
    filters: list[Filter]
    rules: Rules
    sysctls: dict[str, str]
    xfrm: tuple[int, int] | None

    def at(self, interface: str, direction: str) -> list[Program]:
        """The programs in one direction of a device, in the order in which they run."""
        return [each for each in self.programs if each.place == (interface, direction)]


def find(ns: NetNS, notes: Notes, symbols: Symbols | None = None) -> Found:
    """Look.

    Args:
        ns: The node's namespace.
        notes: Takes what could not be looked at.
        symbols: The kernel's; read if None.
    """
    symbols = symbols or read_symbols()
    if symbols.hidden:
        notes.add("helpers", symbols.hidden)
    nothing = Devices((), (), (), (), {})
    here = notes.attempt("devices", lambda: devices.find(ns), nothing)
    if any(not pod.interface for pod in here.pods):
        notes.add("pods' own ends", "cannot be asked: NET_ADMIN is missing, or a pod just went")
    no_filters: list[Filter] = []
    no_sysctls: dict[str, str] = {}
    return Found(
        ns.name,
        kernel.find(symbols),
        here,
        programs.find(ns, symbols, notes),
        programs.at_root_cgroup(notes),
        notes.attempt("tc's filters", lambda: _filters(ns, here), no_filters),
        rules.find(ns, notes, symbols.has("nft_do_chain")),
        notes.attempt("sysctls", lambda: _sysctls(ns, here), no_sysctls),
        notes.attempt("XFRM", lambda: _xfrm(ns), None) if symbols.has("xfrm_dump_sa") else None,
    )


def _filters(ns: NetNS, here: Devices) -> list[Filter]:
    names = {each.ifindex: each.name for each in (*here.lxcs, *here.uplinks, *here.tunnels)}
    found: dict[tuple[str, str, str], bool] = {}  # u32 has more entries than filters
    hooked = {
        _TC.unpack(fixed)[1]
        for fixed, values in ask(ns, _GETQDISC, _TC.pack(0, 0, 0, 0, 0), _TC.size, dump=True)
        if values.get(_KIND, b"").rstrip(b"\0") in (b"clsact", b"ingress")
    }
    for index, name in names.items():
        for direction, parent in _PARENTS.items() if index in hooked else ():
            body = _TC.pack(0, index, 0, parent, 0)
            for _, values in ask(ns, _GETFILTER, body, _TC.size, dump=True):
                place = (name, direction, values.get(_KIND, b"").rstrip(b"\0").decode())
                if place[2] != "bpf":
                    mirred = _MIRRED in values.get(_OPTIONS, b"")
                    found[place] = found.get(place, False) or mirred
    return [Filter(*place, mirred) for place, mirred in found.items()]


def _sysctls(ns: NetNS, here: Devices) -> dict[str, str]:
    names = [each.name for each in (*here.lxcs, *here.uplinks)]
    keys = [*_SYSCTLS, *(f"ipv4/conf/{name}/rp_filter" for name in names)]
    return ns.read_sysctls(keys, perhaps=keys)


def _xfrm(ns: NetNS) -> tuple[int, int]:
    # Without attributes the kernel takes the bare header: struct xfrm_userpolicy_id and
    # xfrm_usersa_flush are larger than what a dump needs.
    body = struct.pack("=B3x", socket.AF_UNSPEC)
    policies, states = (
        len(ask(ns, kind, body, 0, dump=True, protocol=_XFRM)) for kind in (_GETPOLICY, _GETSA)
    )
    return policies, states
