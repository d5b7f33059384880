# SPDX-License-Identifier: Apache-2.0
"""Host routing on a node: BPF, Legacy, mixed or not seen, judged by what was counted alone. Pure.

BPF takes positive evidence: packets that programs took away at a device's ingress, and packets that
arrived without the stack. That FORWARD counted nothing proves nothing: a flowtable and a bridge do
that too. A packet between two pods of the node is counted at both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.inspect.counting import Counted, Flow
from harness.inspect.found import Found
from harness.inspect.ledger import Ledger, PodTraffic
from harness.inspect.window import Seen

BPF, LEGACY, MIXED, NOT_SEEN = "BPF", "Legacy", "mixed", "not seen"


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
    ledger = Ledger(found, seen, seen.stack)
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
    verdict.remarks += _remarks(found, seen, pods)
    return verdict


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
    taken = 0 if found.kernel.counts_peer else _taken_at_least(found, seen)
    counts = (
        f" (the stack forwarded {stack:,} packets, {past:,} reached pods past their lxc, programs"
        f" took {taken:,} at least; more cannot be told)"
    )
    kind = {(True, False): BPF, (False, True): LEGACY, (True, True): MIXED}.get(
        (past + taken > 0, stack > 0), NOT_SEEN
    )
    if kind == NOT_SEEN:
        return Verdict(kind, f": {_silence(found, seen)}", pods=pods)
    return Verdict(kind, f", seen{counts}", past + taken + stack, stack, pods)


def _taken_at_least(found: Found, seen: Seen) -> int:
    """Packets of pods that programs ran for and that the IP stack did not receive.

    Where a flowtable or a bridge may have had them, none. What the node itself received hides some.
    """
    if found.rules.flowtables or found.devices.ports or not found.rules.read:
        return 0
    came, ran = 0, {}
    for name, pair in seen.pairs.items():
        programs = [each for each in found.at(name, "ingress") if each.hook != "xdp"]
        if any(each.redirects or each.hidden for each in programs):
            came += pair.node.rx - seen.asked.get(name, 0)
            ran[programs[0].id] = seen.runs.get(programs[0].id, 0)
    return max(0, min(came, sum(ran.values())) - seen.entered)


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


def _remarks(found: Found, seen: Seen, rows: list[PodTraffic]) -> list[str]:
    said = []
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
        said.append("FORWARD saw more flows than are counted")
    return said
