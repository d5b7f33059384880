# SPDX-License-Identifier: Apache-2.0
"""Pings and datagrams between two pods, captured wherever they pass: the legs, and what they fit.

Sockets are opened in the pods' namespaces by this process: nothing is asked of their images, and
nothing is changed. Other traffic goes on meanwhile, so tcpdump takes the pods' own packets alone.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.inspect import target
from harness.inspect.counting import Counted
from harness.inspect.deliveries import MEANS, fitting
from harness.inspect.devices import Pod, addresses, links
from harness.inspect.found import Found
from harness.inspect.notes import Notes
from harness.inspect.window import Seen, Window
from harness.plumbing import scratch
from harness.plumbing.closable import Closable
from harness.plumbing.errors import UnknownNameError
from harness.plumbing.netlink_attributes import attribute
from harness.plumbing.netns import NetNS
from harness.plumbing.rtnetlink import ask
from harness.topology import Family
from harness.traffic import datagrams, ping
from harness.traffic.exchange import Exchange
from harness.watch.capture import HEADERS, Capture, reap_ending
from harness.watch.legs import LegTable, legs_of

#: Packets of each flow.
COUNT = 5
_GETNSID, _NSID, _FD = 90, 1, 3  # RTM_GETNSID, NETNSA_NSID, NETNSA_FD
_KINDS = ("request", "reply", "error")


class End(Closable):
    """One of the two pods.

    Attributes:
        name: `pod1` or `pod2`.
        ns: Its namespace.
        interface: Its end of the pair.
        addresses: Its addresses.
        lxc: The node's end; "": it is not a pod of this node.
    """

    def __init__(self, name: str, ns: NetNS, interface: str, held: Sequence[str], lxc: str) -> None:
        self.name, self.ns, self.interface, self.lxc = name, ns, interface, lxc
        self.addresses = {Family.of(each): each for each in reversed(held)}

    def close(self) -> None:
        """Let go of the namespace."""
        self.ns.close()


@dataclass(frozen=True)
class Probed:
    """Flows that left the same legs.

    Attributes:
        flows: What was sent, such as `ping IPv4`.
        sent: How many requests each.
        lost: How many had no answer, all together.
        forwarded: Packets of them that FORWARD saw; None: it was not counted.
        legs: Their legs.
        fits: The deliveries that they fit; none: see `odd`.
        odd: What is odd, each a line.
    """

    flows: tuple[str, ...]
    sent: int
    lost: int
    forwarded: int | None
    legs: LegTable
    fits: tuple[str, ...]
    odd: tuple[str, ...] = ()


@dataclass
class _Taps:
    """Where to capture."""

    rows: list[tuple[_Tap, str]] = field(default_factory=list)

    def interfaces(self) -> Sequence[tuple[_Tap, str]]:
        return self.rows


@dataclass(frozen=True)
class _Tap:
    name: str
    ns: NetNS


def end(node: NetNS, found: Found, wanted: str, name: str) -> End:
    """A pod, by its lxc, or by its namespace's name, path or process id.

    Raises:
        UnknownNameError: There is none, or its namespace cannot be found.
    """
    for pod in found.devices.pods:
        if pod.lxc.name == wanted:
            return End(name, _namespace_of(node, pod, name), pod.interface, pod.addresses, wanted)
    try:
        ns = target.opened(wanted)
    except UnknownNameError:
        known = ", ".join(pod.lxc.name for pod in found.devices.pods[:8]) or "no pods"
        raise UnknownNameError(
            f"--probe {wanted!r}: there is neither a pod's device nor a namespace of that name",
            f"this node has {known}; a namespace may be named by path or process id too",
        ) from None
    ns.name = name
    try:
        return _end_in(node, found, ns, wanted)
    except BaseException:
        ns.close()
        raise


def _end_in(node: NetNS, found: Found, ns: NetNS, wanted: str) -> End:
    nsid = _nsid(node, ns.fileno())
    for pod in found.devices.pods:
        if pod.lxc.nsid == nsid:
            return End(ns.name, ns, pod.interface, pod.addresses, pod.lxc.name)
    for device in links(ns):
        held = () if device.loopback or not device.up else addresses(ns, None, device.ifindex)
        if held:
            return End(ns.name, ns, device.name, held, "")
    raise UnknownNameError(f"--probe {wanted!r}: its namespace has no device with an address", "")


def _nsid(node: NetNS, fd: int) -> int:
    """The id by which a node's namespace knows another; -1: by none."""
    body = struct.pack("=B3x", 0) + attribute(_FD, struct.pack("=i", fd))
    ((_, values),) = ask(node, _GETNSID, body, 4, dump=False)
    return int(struct.unpack("=i", values[_NSID])[0])


def _namespace_of(node: NetNS, pod: Pod, name: str) -> NetNS:
    for fd in target.candidates():
        if _nsid(node, fd) == pod.lxc.nsid:
            return NetNS(name, os.dup(fd))
    raise UnknownNameError(
        f"--probe {pod.lxc.name!r}: no process that can be seen lives in that pod's namespace",
        "pass its path or a process id; in a container, run with the host's PID namespace",
    )


def families(one: End, two: End) -> list[Family]:
    """The families in which both have an address.

    Raises:
        UnknownNameError: None.
    """
    both = [each for each in Family if each in one.addresses and each in two.addresses]
    if not both:
        raise UnknownNameError("the two pods have no address of the same family", "")
    return both


def probe(node: NetNS, found: Found, notes: Notes, one: End, two: End) -> tuple[Seen, list[Probed]]:
    """Send, capture, and say what the legs fit.

    Args:
        node: The node's namespace.
        found: What is there.
        notes: Takes what could not be looked at.
        one: The pod that asks.
        two: The pod that answers.

    Raises:
        CaptureError: A capture could not be started or proven complete.
        TrafficError: Something else than a loss.
    """
    directory = scratch.make("probe")
    taps = _taps(node, found, one, two)
    try:
        with Window(node, found, notes) as window:
            capture = Capture(taps, directory, HEADERS, expression=_expression(one, two))
            try:
                exchanges = _talk(notes, one, two)
                frames = capture.finish()
            finally:
                capture.close()
                reap_ending()
            seen = window.look()
    finally:
        scratch.remove(directory)
    order = [f"{tap.name}:{ifname}" for tap, ifname in taps.rows]
    rows = []
    for what, exchange in exchanges.items():
        table = legs_of(frames, [exchange.flow], order)
        own = {leg: remark for leg, remark in table.legs.items() if leg[2] in _KINDS}
        rows.append(_judged(what, exchange, LegTable(own, order), seen.stack, found, one, two))
    return seen, _grouped(rows)


def _taps(node: NetNS, found: Found, one: End, two: End) -> _Taps:
    at = _Tap("node", node)
    node.name = at.name  # which captures go by
    lxcs = [each for each in (one.lxc, two.lxc) if each]
    middle = [*lxcs[:1], *(each.name for each in found.devices.uplinks), *lxcs[1:]]
    return _Taps([
        (_Tap(one.name, one.ns), one.interface),
        *((at, name) for name in middle),
        (_Tap(two.name, two.ns), two.interface),
    ])  # fmt: skip


def _expression(one: End, two: End) -> str:
    pairs = [
        f"(host {one.addresses[each]} and host {two.addresses[each]})"
        for each in families(one, two)
    ]
    return f"({' or '.join(pairs)}) and (icmp or icmp6 or udp)"


def _talk(notes: Notes, one: End, two: End) -> dict[str, Exchange]:
    done: dict[str, Exchange] = {}
    for family in families(one, two):
        ends = (one.addresses[family], two.addresses[family])
        label = {Family.ipv4: "IPv4", Family.ipv6: "IPv6"}[family]
        sending: dict[str, Callable[[], Exchange | None]] = {
            f"ping {label}": lambda family=family, ends=ends: ping(  # type: ignore[misc]
                one.ns, family, *ends, count=COUNT
            ),
            f"datagrams {label}": lambda family=family, ends=ends: datagrams(  # type: ignore[misc]
                one.ns, two.ns, family, *ends, count=COUNT
            ),
        }
        for what, send in sending.items():
            exchange = notes.attempt(what, send, None)
            if exchange is not None:
                done[what] = exchange
    return done


def _judged(
    what: str, exchange: Exchange, legs: LegTable, stack: Counted | None, found: Found, one: End,
    two: End,
) -> Probed:  # fmt: skip
    forwarded = None if stack is None else _forwarded(exchange, stack)
    names = {"one": one.interface, "two": two.interface, "lxc1": one.lxc, "lxc2": two.lxc}
    uplinks = [each.name for each in found.devices.uplinks]
    fits, odd = fitting(legs, names, uplinks, forwarded)
    if forwarded and fits and "stack" not in fits:
        odd.append(f"FORWARD saw {forwarded} of its packets")
    if exchange.lost:
        odd.append(f"{exchange.lost} of {len(exchange.flow.sent)} had no answer: may they talk?")
    return Probed(
        (what,), len(exchange.flow.sent), exchange.lost, forwarded, legs, fits, tuple(odd)
    )


def _forwarded(exchange: Exchange, stack: Counted) -> int:
    """How many of a flow's packets FORWARD saw, both ways."""
    flow = exchange.flow
    ends = {(flow.client, flow.server), (flow.server, flow.client)}
    protocols = ("icmp", "ipv6-icmp", "icmpv6") if flow.is_icmp else ("udp",)
    ports = (0,) if flow.is_icmp else (flow.client_port, flow.server_port)
    return sum(
        each.packets
        for each in stack.flows
        if (each.source, each.destination) in ends
        and each.protocol in protocols
        and each.port in ports
    )


def _grouped(rows: Sequence[Probed]) -> list[Probed]:
    """Flows that are alike, once."""
    groups: list[Probed] = []
    for row in rows:
        for at, group in enumerate(groups):
            same = (group.legs == row.legs, group.fits == row.fits, group.odd == row.odd)
            if all(same) and (group.forwarded is None) == (row.forwarded is None):
                total = None if row.forwarded is None else row.forwarded + (group.forwarded or 0)
                groups[at] = Probed(
                    (*group.flows, *row.flows), row.sent, group.lost + row.lost, total, row.legs,
                    row.fits, row.odd,
                )  # fmt: skip
                break
        else:
            groups.append(row)
    return groups


def lines(rows: Sequence[Probed]) -> list[str]:
    """For people."""
    said = []
    for row in rows:
        forward = "" if row.forwarded is None else f", {row.forwarded} packets in FORWARD"
        said.append(f"  {', '.join(row.flows)}: {row.sent} sent each, {row.lost} lost{forward}")
        said += [f"    {line}" for line in str(row.legs).splitlines()]
        if row.fits:
            means = " or ".join(f"{kind} ({MEANS[kind]})" for kind in row.fits)
            said.append(f"    fits {means}")
        said += [f"    odd: {line}" if not at else f"    {line}" for at, line in enumerate(row.odd)]
    return said


def as_json(rows: Sequence[Probed]) -> list[dict[str, object]]:
    """For machines."""
    return [
        {
            "flows": list(row.flows),
            "sent": row.sent,
            "lost": row.lost,
            "forwarded": row.forwarded,
            "legs": str(row.legs).splitlines(),
            "fits": list(row.fits),
            "odd": list(row.odd),
        }
        for row in rows
    ]
