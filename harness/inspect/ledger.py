# SPDX-License-Identifier: Apache-2.0
"""Who took which of the pods' packets: programs, the stack, a flowtable or a bridge. Pure.

A count is a difference of two others, each taken so that what goes on meanwhile makes a bypass
smaller: what came to a device less what got past its programs, what a device sent less what was
sent without a redirect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.inspect.counting import Counted
from harness.inspect.devices import Pod
from harness.inspect.found import Found
from harness.inspect.programs import Program
from harness.inspect.window import Pair, Seen

_IP = ("ip", "ip6")


@dataclass
class Sent:
    """What a pod sent.

    Attributes:
        packets: All of it.
        taken: Taken away by programs before the stack: redirected, as far as can be told.
        forward: Through FORWARD.
        offloaded: Past the programs and not into the IP stack: a flowtable's or a bridge's.
        node: For the node itself.
        stack: Past the programs and not for the node itself.
    """

    packets: int = 0
    taken: int = 0
    forward: int = 0
    offloaded: int = 0
    node: int = 0
    stack: int = 0


@dataclass
class Received:
    """What a pod received.

    Attributes:
        packets: All of it that its own end counted.
        past: Past the lxc: by bpf_redirect_peer, or to a netkit pod off the wire.
        through: Through the lxc.
        forward: Of those, through FORWARD.
        node: Of those, the node's own.
        redirected: Of those, sent there by a program.
        offloaded: Of those, by a flowtable or a bridge.
    """

    packets: int = 0
    past: int = 0
    through: int = 0
    forward: int = 0
    node: int = 0
    redirected: int = 0
    offloaded: int = 0

    @property
    def stack(self) -> int:
        """By the node's stack, or by a flowtable or bridge."""
        return self.forward + self.offloaded

    @property
    def bypassed(self) -> int:
        """Without the node's stack."""
        return self.past + self.redirected


@dataclass
class PodTraffic:
    """A pod's packets in both directions.

    Attributes:
        lxc: The node's end of its pair.
        addresses: The pod's.
        sent: What it sent.
        received: What it received.
    """

    lxc: str
    addresses: tuple[str, ...]
    sent: Sent = field(default_factory=Sent)
    received: Received = field(default_factory=Received)


class Ledger:
    """Who took which packet."""

    def __init__(self, found: Found, seen: Seen, stack: Counted) -> None:
        self._found, self._seen, self._stack = found, seen, stack
        self._taken = self._all_taken()
        self._exact: set[str] = set()  # pods of which it is known what was redirected to them

    def _passed(self, name: str) -> int:
        """Everything that programs at a device's ingress let pass."""
        rows = (self._stack.passed or {}).items()
        return sum(count for (device, _, _), count in rows if device == name)

    def _routed(self, name: str) -> int:
        """Of that, the IP packets that the node is to pass on or to take.

        A port's frames are for others than the node (PACKET_OTHERHOST) until the bridge has them.
        """
        kinds = ("host", "other") if name in self._found.devices.ports else ("host",)
        return sum(
            count
            for (device, protocol, kind), count in (self._stack.passed or {}).items()
            if device == name and protocol in _IP and kind in kinds
        )

    def _first(self, name: str) -> Program | None:
        """The first program at a device's ingress, which sees every packet."""
        programs = [each for each in self._found.at(name, "ingress") if each.hook != "xdp"]
        return programs[0] if programs else None

    def _may_redirect(self, name: str) -> bool:
        return any(
            each.redirects or each.hidden
            for each in self._found.at(name, "ingress")
            if each.hook != "xdp"
        )

    def _entries(self, name: str) -> int:
        """Packets that came to a device's ingress, of a pod's pair or an uplink."""
        pair = self._seen.pairs.get(name)
        if pair is None:
            counted = self._seen.outward.get(name)
            return counted.rx if counted else 0
        # A netkit program runs before the node's end counts, and what it redirects never comes.
        return max(pair.node.rx, pair.pod.tx if pair.pod else 0)

    def _all_taken(self) -> dict[str, int]:
        """Device → packets that programs took away there, never more than they ran.

        A program runs once for a packet; a device may have counted several where segments were
        merged before (GRO). One program on many devices has one count for all of them.
        """
        taken: dict[str, int] = {}
        if self._stack.passed is None:
            return taken
        groups: dict[int, list[str]] = {}
        for name in (*self._seen.pairs, *self._seen.outward):
            first = self._first(name)
            if first is not None and self._may_redirect(name):
                groups.setdefault(first.id, []).append(name)
        for ident, names in groups.items():
            left = self._seen.runs.get(ident, 0) - sum(map(self._passed, names))
            for name in names:
                taken[name] = max(0, min(self._entries(name) - self._passed(name), left))
                left -= taken[name]
        return taken

    def _unredirected(self, name: str) -> int | None:
        """What was sent by a device and no program redirected there; None: not counted."""
        if self._stack.sent is None:
            return None
        return sum(count for (at, _, _), count in self._stack.sent.items() if at == name)

    def sent_off(self) -> int | None:
        """Packets that programs redirected off the node; None: that cannot be told.

        A program at the egress of the device runs once for each packet. A NIC counts the segments
        that it cuts; what makes none, as a tunnel, counts packets.
        """
        here, total = self._found.devices, 0
        for device in (*here.uplinks, *here.tunnels):
            others = self._unredirected(device.name)
            there = self._found.at(device.name, "egress")
            sent = None
            if there and self._is_alone(there[0]):
                sent = self._seen.runs.get(there[0].id)
            elif device.kind and device.name in self._seen.outward:
                sent = self._seen.outward[device.name].tx
            if others is None or sent is None:
                return None
            total += max(0, sent - others)
        return total

    def _is_alone(self, program: Program) -> bool:
        return sum(each.id == program.id for each in self._found.programs) == 1

    def pods(self) -> list[PodTraffic]:
        """Each pod's traffic."""
        rows = [
            self._pod(pod, self._seen.pairs[pod.lxc.name])
            for pod in self._found.devices.pods
            if pod.lxc.name in self._seen.pairs
        ]
        self._share_out(rows)
        return rows

    def _pod(self, pod: Pod, pair: Pair) -> PodTraffic:
        name, stack = pod.lxc.name, self._stack
        row = PodTraffic(name, pod.addresses)
        forward_in = sum(n for (came, _), n in stack.forwarded.items() if came == name)
        forward_out = sum(n for (_, went), n in stack.forwarded.items() if went == name)
        row.sent = Sent(
            self._entries(name), self._taken.get(name, 0), forward_in,
            self._offloaded_from(name), stack.to_node.get(name, 0),
        )  # fmt: skip
        if stack.passed is None:
            row.sent.stack = max(forward_in, stack.entered.get(name, 0) - row.sent.node)
        else:
            row.sent.stack = max(forward_in, self._routed(name) - row.sent.node)
        past = max(0, pair.pod.rx - pair.node.tx) if pair.pod else 0
        row.received = Received(
            pair.pod.rx if pair.pod else pair.node.tx, past, pair.node.tx, forward_out,
            stack.of_node.get(name, 0),
        )  # fmt: skip
        answered = self._answered(name, row.sent.taken)
        row.sent.taken -= answered
        others = self._unredirected(name)
        # What a netkit program redirects does not skip that hook.
        if others is not None and pod.lxc.kind == "veth":
            row.received.redirected = max(0, pair.node.tx - others - answered)
            self._exact.add(name)
        return row

    def _answered(self, name: str, taken: int) -> int:
        """How many of the packets that were taken asked for a MAC: programs answer such."""
        passed = sum(
            count
            for (device, protocol, kind), count in (self._stack.passed or {}).items()
            if device == name and (protocol == "arp" or (protocol == "ip6" and kind != "host"))
        )
        return max(0, min(taken, self._seen.asked.get(name, 0) - passed))

    def _offloaded_from(self, name: str) -> int:
        if self._stack.passed is None:
            return 0
        return max(0, self._routed(name) - self._stack.entered.get(name, 0))

    def _share_out(self, pods: Iterable[PodTraffic]) -> None:
        """Tell what came through an lxc past FORWARD: no more than was taken was redirected."""
        names = (*self._seen.pairs, *self._seen.outward)
        offloaded = sum(map(self._offloaded_from, names))
        pods = list(pods)
        # What went past the lxc was taken, too: it is not there to be redirected.
        taken = max(0, sum(self._taken.values()) - sum(pod.received.past for pod in pods))
        for pod in pods:
            row = pod.received
            unknown = max(0, row.through - row.forward - row.node - row.redirected)
            row.offloaded = min(unknown, offloaded)
            offloaded -= row.offloaded
            if pod.lxc not in self._exact:
                row.redirected = min(unknown - row.offloaded, taken)
                taken -= row.redirected
