# SPDX-License-Identifier: Apache-2.0
"""What was found and seen, for people."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from harness.inspect.found import Found
from harness.inspect.ledger import PodTraffic
from harness.inspect.programs import Program
from harness.inspect.verdict import Verdict
from harness.inspect.window import Seen
from harness.plumbing.printable import aligned

_MANY = 6  # names, or leaks, of a row that are written out
_NAMED = ("bpf_redirect", "bpf_redirect_neigh", "bpf_redirect_peer", "bpf_redirect_map",
          "bpf_clone_redirect", "bpf_fib_lookup")  # fmt: skip
_LEAKS = 20


def few(names: Sequence[str], most: int = _MANY) -> str:
    """Some names, and how many more."""
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def found_lines(found: Found) -> list[str]:
    """What is there, a line a thing."""
    here = found.devices
    rows = [
        ("kernel", _kernel(found)),
        ("pods", f"{len(here.pods)}: {few([_pod(found, at) for at in range(len(here.pods))], 4)}"),
        ("uplinks", few([each.name for each in here.uplinks])),
        ("tunnels", few([f"{each.name} ({each.kind})" for each in here.tunnels])),
        ("bridges", few([each.name for each in here.bridges])),
        *(("program", line) for line in _programs(found.programs)),
        *([] if found.programs else [("program", "none on any device")]),
        *(("sockets", f"{s.hook} {s.name} tag {s.tag} id {s.id}") for s in found.sockets),
        *(("filter", _filter(each.interface, each.direction, each.kind, each.mirred))
          for each in found.filters),
        *_rules(found),
        ("sysctls", _sysctls(found.sysctls)),
    ]  # fmt: skip
    if found.xfrm is not None:
        rows.append(("xfrm", f"{found.xfrm[0]} policies, {found.xfrm[1]} states"))
    return [f"  {line}" for line in aligned(rows)]


def _kernel(found: Found) -> str:
    words = {True: "yes", False: "no", None: "unknown"}
    kernel = found.kernel
    features = ", ".join(f"{name} {words[has]}" for name, has in kernel.features.items())
    lockdown = f"; lockdown {kernel.lockdown}" if kernel.lockdown else ""
    return f"{kernel.release}: {features}{lockdown}"


def _pod(found: Found, at: int) -> str:
    pod = found.devices.pods[at]
    port = found.devices.ports.get(pod.lxc.name)
    bridged = f", port of {port}" if port else ""
    return f"{pod.lxc.name} ({pod.lxc.kind}{bridged}) {' '.join(pod.addresses) or 'no address'}"


def _programs(programs: Iterable[Program]) -> list[str]:
    """Programs with all the places of each: one on two hundred devices is one line."""
    places: dict[tuple[int, str, str, int], list[Program]] = {}
    for each in programs:
        places.setdefault((each.id, each.hook, each.direction, each.order), []).append(each)
    return [_program(each) for each in places.values()]


def _program(same: Sequence[Program]) -> str:
    one = same[0]
    devices = few([each.interface for each in same])
    turn = f" ({one.order}.)" if one.order > 1 else ""
    since = f", loaded {_when(one.loaded)}" if one.loaded else ""
    return (
        f"{one.name} tag {one.tag} id {one.id}, {one.hook} {one.direction}{turn} of {devices}"
        f"{since}; {_calls(one)}"
    )


def _calls(program: Program) -> str:
    if program.hidden and not program.helpers:
        return "which helpers it calls is hidden"
    named = [name for name in _NAMED if name in program.helpers]
    others = len(program.helpers) - len(named)
    through = f", through {program.tail_calls} tail calls" if program.tail_calls else ""
    hidden = ", and some that are hidden" if program.hidden else ""
    if not program.helpers:
        return f"calls no helper{through}"
    rest = f"{' and ' if named else ''}{others} more" if others else ""
    return f"calls {', '.join(named)}{rest}{hidden}{through}"


def _when(since_boot: int) -> str:
    then = time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot / 1e9)
    return datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _filter(interface: str, direction: str, kind: str, mirred: bool) -> str:
    return f"{kind}{' with mirred' if mirred else ''} at {interface} {direction}"


def _rules(found: Found) -> list[tuple[str, str]]:
    rules = found.rules
    rows = [
        ("forward", f"{each.table} {each.name}: policy {each.policy}, {each.rules} rules")
        for each in rules.forward
    ]
    if not rules.forward and rules.read:
        rows.append(("forward", "no chain"))
    kube = ", ".join(f"{count} chains in {kind}" for kind, count in rules.kube_proxy.items())
    rows.append(("kube-proxy", kube or "none"))
    rows.append(("masquerade", f"{rules.masquerade} rules" if rules.masquerade else "none"))
    rows += [
        ("flowtable", f"{each.table} {each.name} on {few(each.devices)}")
        for each in rules.flowtables
    ]
    return rows


def _sysctls(values: dict[str, str]) -> str:
    """Those of devices only where they say something."""
    said = [
        f"{key.replace('/', '.')} = {value}"
        for key, value in values.items()
        if not key.startswith("ipv4/conf/") or "/all/" in key or value != "0"
    ]
    return few(said)


def seen_lines(found: Found, seen: Seen, verdict: Verdict) -> list[str]:
    """What was counted: a line a pod and direction, run counts, leaks."""
    lines = [f"  seen in {seen.seconds:.3g} s"]
    lines += [f"    {line}" for line in traffic(verdict.pods)]
    names = {each.id: each.name for each in found.programs}
    if seen.runs:
        ran = [f"{names[ident]} (id {ident}) {count:,}" for ident, count in seen.runs.items()]
        lines.append(f"    programs ran: {few(ran)}")
    if verdict.leaks:
        lines.append("    leaks: these entered the stack where a program redirects")
        lines += [f"      {line}" for line in leaks(verdict)]
    return lines + [f"    {remark}" for remark in verdict.remarks]


def leaks(verdict: Verdict) -> list[str]:
    """The largest leaks."""
    rows = [
        (
            each.source, "→", each.destination,
            f"{each.protocol} {each.port}" if each.port else each.protocol,
            f"{each.came} > {each.went}", f"{each.packets:,}",
        )
        for each in verdict.leaks[:_LEAKS]
    ]  # fmt: skip
    more = len(verdict.leaks) - _LEAKS
    return [*(aligned(rows) if rows else []), *([f"and {more} more"] if more > 0 else [])]


def traffic(pods: Sequence[PodTraffic]) -> list[str]:
    """A table of pods and directions; pods that neither sent nor received are left out."""
    rows = [("pod", "direction", "packets", "past the stack", "FORWARD", "flowtable or bridge",
             "with the node")]  # fmt: skip
    for pod in pods:
        sent, received = pod.sent, pod.received
        name = f"{pod.lxc} {pod.addresses[0] if pod.addresses else ''}".rstrip()
        if sent.packets:
            rows.append((name, "sent", *_cells(
                sent.packets, sent.taken, sent.forward, sent.offloaded, sent.node)))  # fmt: skip
        if received.packets or received.through:
            rows.append((name, "received", *_cells(
                max(received.packets, received.through), received.bypassed, received.forward,
                received.offloaded, received.node)))  # fmt: skip
    idle = sum(not (pod.sent.packets or pod.received.packets) for pod in pods)
    lines = aligned(rows) if len(rows) > 1 else []
    return [*lines, *([f"{idle} pods without a packet"] if idle else [])]


def _cells(*numbers: int) -> tuple[str, str, str, str, str]:
    one, two, three, four, five = (f"{each:,}" if each else "-" for each in numbers)
    return one, two, three, four, five
