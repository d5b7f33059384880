# SPDX-License-Identifier: Apache-2.0
"""Host routing on a node: BPF, Legacy, mixed or not seen, judged by what was counted alone. Pure.

BPF takes positive evidence: packets that programs took away at a device's ingress, and packets that
arrived without the stack. That FORWARD counted nothing proves nothing: a flowtable and a bridge do
that too. A packet between two pods of the node is counted at both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.inspect.counting import Counted, Flow
from harness.inspect.devices import Pod
from harness.inspect.found import Found
from harness.inspect.programs import Program
from harness.inspect.window import Pair, Seen

BPF, LEGACY, MIXED, NOT_SEEN = "BPF", "Legacy", "mixed", "not seen"
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


@dataclass
class Verdict:
    """What is said of a node.

    Attributes:
        host_routing: `BPF`, `Legacy`, `mixed` or `not seen`.
        why: The rest of the sentence.
        packets: Pods' packets that were judged.
        stack: Those of them that entered the stack.
        pods: Each pod's.
        leaks: What entered the stack although a program that redirects is attached where it came
            in, or at the pod that it was for.
        remarks: What a reader has to know.
    """

    host_routing: str
    why: str
    packets: int = 0
    stack: int = 0
    pods: list[PodTraffic] = field(default_factory=list)
    leaks: list[Flow] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"Host Routing: {self.host_routing}{self.why}"


def judge(found: Found, seen: Seen) -> Verdict:
    """Judge.

    Args:
        found: What is there.
        seen: What was counted.
    """
    if seen.stack is None:
        return _judge_by_proc(found, seen)
    ledger = _Ledger(found, seen, seen.stack)
    pods = ledger.pods()
    stack = sum(each.sent.stack + each.received.stack for each in pods)
    taken = sum(each.sent.taken for each in pods)
    received = sum(each.received.bypassed for each in pods)
    off = ledger.sent_off()
    if off is None:  # where it cannot be told, replies that bypass the stack vouch for requests
        off = taken if received else 0
    verdict = _said(found, seen, stack, taken, received, received + off)
    verdict.pods = pods
    verdict.leaks = _leaks(found, seen.stack, pods)
    verdict.remarks += _remarks(found, seen, ledger)
    return verdict


class _Ledger:
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


def _said(
    found: Found, seen: Seen, stack: int, taken: int, received: int, arrived: int
) -> Verdict:  # fmt: skip
    """The sentence.

    Args:
        found: What is there.
        seen: What was counted.
        stack: Packets that entered the stack.
        taken: Packets that programs took away from pods: they redirected them, or dropped them.
        received: Packets that reached pods without the stack.
        arrived: Those, and what was sent off the node without the stack.
    """
    # Before 6.7 a delivery by bpf_redirect_peer is counted nowhere.
    bypassed = received + (min(taken, arrived) if found.kernel.counts_peer else taken)
    packets = stack + bypassed
    counts = f", seen ({stack:,} of {packets:,} pod packets entered the stack)"
    if packets:
        kind = MIXED if stack and bypassed else LEGACY if stack else BPF
        return Verdict(kind, counts, packets, stack)
    if taken:
        none = f": programs took {taken:,} packets, and none of them was seen to arrive"
        return Verdict(NOT_SEEN, none)
    return Verdict(NOT_SEEN, f": {_silence(found, seen)}")


def _silence(found: Found, seen: Seen) -> str:
    if not found.devices.pods:
        return "there are no pods"
    return f"no traffic in {seen.seconds:.3g} s; let some flow, or --probe"


def _judge_by_proc(found: Found, seen: Seen) -> Verdict:
    """Without counters in the stack: the devices' counters, and how much the stack forwarded."""
    pods = []
    for pod in found.devices.pods:
        pair = seen.pairs.get(pod.lxc.name)
        if pair is None:
            continue
        row = PodTraffic(pod.lxc.name, pod.addresses)
        row.sent.packets = pair.node.rx
        row.received.through = pair.node.tx
        row.received.packets = pair.pod.rx if pair.pod else pair.node.tx
        row.received.past = max(0, pair.pod.rx - pair.node.tx) if pair.pod else 0
        pods.append(row)
    past, stack = sum(each.received.past for each in pods), max(0, seen.forwarded)
    counts = (
        f" (the stack forwarded {stack:,} packets, {past:,} reached pods past their lxc; what"
        " else came to pods cannot be told)"
    )
    kind = {(True, False): BPF, (False, True): LEGACY, (True, True): MIXED}.get(
        (past > 0, stack > 0), NOT_SEEN
    )
    if kind == NOT_SEEN:
        return Verdict(kind, f": {_silence(found, seen)}", pods=pods)
    return Verdict(kind, f", seen{counts}", past + stack, stack, pods)


def _leaks(found: Found, stack: Counted, pods: list[PodTraffic]) -> list[Flow]:
    """Flows in FORWARD of pods where a program redirects, the largest first."""
    names = {each.lxc for each in pods}
    redirecting = {
        each.interface
        for each in found.programs
        if each.direction == "ingress" and (each.redirects or each.hidden)
    }
    flows = [
        each
        for each in stack.flows
        if (each.came in names or each.went in names)
        and (each.came in redirecting or each.went in redirecting)
    ]
    return sorted(flows, key=lambda flow: -flow.packets)


def _remarks(found: Found, seen: Seen, ledger: _Ledger) -> list[str]:
    said = []
    rows = ledger.pods()
    offloaded = sum(each.sent.offloaded + each.received.offloaded for each in rows)
    if offloaded:
        by = "a flowtable" if found.rules.flowtables else "a bridge, or something unknown"
        said.append(f"{offloaded:,} packets were passed on before FORWARD by {by}")
    ports = [each.lxc.name for each in found.devices.pods if each.lxc.name in found.devices.ports]
    if ports:
        said.append(f"{', '.join(ports[:4])}: a bridge has what they send, to the node itself too")
    if not found.kernel.counts_peer and any(
        "bpf_redirect_peer" in each.helpers for each in found.programs
    ):
        said.append("before 6.7 the kernel does not count what bpf_redirect_peer delivers")
    if seen.stack is not None and seen.stack.passed is None:
        said.append("what programs take away cannot be told from what they let pass")
    if seen.stack is not None and seen.stack.full:
        said.append("there were more flows in FORWARD than are told apart")
    return said
