# SPDX-License-Identifier: Apache-2.0
"""List every program attached to a namespace's devices, at any hook, by any owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from harness.attach import clsact, netkit, tcx
from harness.attach.attachment import EGRESS, INGRESS, Attachment, Listed
from harness.bpf.loaded import loaded_program
from harness.plumbing.netns import NetNS


class Hook(Protocol):
    """What each module of this room has."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """What it is called."""
        ...

    def attach(
        self, ns: NetNS, ifindex: int, direction: str, fd: int, name: str, *, first: bool = False
    ) -> Attachment:
        """Attach a program; `first`: before everything that is there."""
        ...

    def listed(self, ns: NetNS, interface: str, ifindex: int, direction: str) -> list[Listed]:
        """The programs there, in the order in which they run."""
        ...


_ALL: tuple[Hook, ...] = (netkit, tcx, clsact)
#: Name → hook of a device, in the order in which the kernel comes to them.
HOOKS: dict[str, Hook] = {hook.NAME: hook for hook in _ALL}
_XDP = "xdp"
_XDP_IDS = tuple(f"IFLA_XDP_{mode}PROG_ID" for mode in ("", "DRV_", "SKB_", "HW_"))


def all_attachments(ns: NetNS, interface: str | None = None) -> list[Listed]:
    """Every program on any hook of any device: XDP, netkit, TCX, clsact.

    A hook's programs stand in the order in which they run, hooks of one direction too.

    Args:
        ns: The devices' namespace.
        interface: Only this device.
    """
    qdiscs = {entry["index"] for entry in ns.netlink.get_qdiscs() if _has_filters(entry)}
    found: list[Listed] = []
    for link in ns.netlink.get_links():
        name, ifindex = str(link.get_attr("IFLA_IFNAME")), int(link["index"])
        if interface not in (None, name):
            continue
        found += _on_xdp(name, link)
        hooks = [hook for hook in _ALL if hook.NAME != clsact.NAME or ifindex in qdiscs]
        for direction in (INGRESS, EGRESS):
            for hook in hooks:
                found += hook.listed(ns, name, ifindex, direction)
    return found


def _has_filters(qdisc: Any) -> bool:
    return qdisc.get_attr("TCA_KIND") in ("clsact", "ingress")


def _on_xdp(interface: str, link: Any) -> Iterator[Listed]:
    xdp = link.get_attr("IFLA_XDP")
    ids = [xdp.get_attr(name) for name in _XDP_IDS] if xdp else []
    for ident in dict.fromkeys(filter(None, ids)):  # the first repeats what the mode's own says
        program = loaded_program(ident)
        if program is not None:
            with program:
                yield Listed(interface, INGRESS, program.name, program.tag, ident, _XDP)


def attach_first(
    ns: NetNS, interface: str, ifindex: int, direction: str, fd: int, name: str
) -> Attachment:  # fmt: skip
    """Attach a program so that it runs before every other in that direction of a device.

    It sits at the first hook that has programs; where none has, at clsact, which every kernel has.
    To let the others see a packet too, it has to return TC_ACT_UNSPEC.

    Args:
        ns: The device's namespace.
        interface: The device.
        ifindex: Its index.
        direction: `INGRESS` or `EGRESS`.
        fd: The program.
        name: What it is called in listings.

    Raises:
        KernelError: It cannot be the first there, and why.
    """
    used = [hook for hook in HOOKS.values() if hook.listed(ns, interface, ifindex, direction)]
    hook = used[0] if used else HOOKS[clsact.NAME]
    return hook.attach(ns, ifindex, direction, fd, name, first=True)
