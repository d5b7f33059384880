# SPDX-License-Identifier: Apache-2.0
"""What a capture saw of crafted packets and of the answers to them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.testbed import Actor, PodActor, Seen
from harness.traffic import Flow
from harness.traffic.headers import ICMP, TCP, UDP, but_for_ttl, decode
from harness.watch.capture import Frame

_RESET = 0x04


def _at(seen: Seen, host: Actor, direction: str, source: str, destination: str) -> list[Frame]:
    """Packets from one address to another at a host's eth0."""
    return [
        frame
        for frame in seen.frames
        if (frame.interface, frame.direction) == (f"{host.name}:eth0", direction)
        and (found := frame.headers.ip) is not None
        and (found.source, found.destination) == (source, destination)
    ]


def but_for_the_ttl(frames: Sequence[bytes]) -> list[bytes]:
    """All of some frames that a router passes on as it is."""
    return [but_for_ttl(frame, decode(frame)) for frame in frames]


def arrived(seen: Seen, sender: Actor, pod: PodActor) -> list[bytes]:
    """What arrived of a host's packets to a pod, all but the TTL, in order."""
    return but_for_the_ttl([f.raw for f in _at(seen, pod, "in", sender.address, pod.address)])


def replies(seen: Seen, sender: Actor, target: str) -> int:
    """How many echo replies of an address reached who asked it."""
    inwards = _at(seen, sender, "in", target, sender.address)
    transports = [frame.headers.transport for frame in inwards]
    return sum(isinstance(icmp, ICMP) and icmp.is_reply for icmp in transports)


def refusals(
    seen: Seen, sender: Actor, target: str
) -> tuple[list[tuple[int, int, int, int]], list[tuple[int, int]]]:
    """How a host was refused by an address, in order.

    Returns:
        Of each ICMP error about a plain datagram its type, its code and the datagram's ports. Of
        each TCP reset the ports of the segment that it answers.
    """
    errors, resets = [], []
    for frame in _at(seen, sender, "in", target, sender.address):
        packet = frame.headers
        behind = packet.quote.ip.extensions if packet.quote and packet.quote.ip else ()
        quoted = packet.quote.transport if packet.quote and not behind else None
        if isinstance(packet.transport, ICMP) and isinstance(quoted, UDP):
            icmp = packet.transport
            errors.append((icmp.type, icmp.code, quoted.source, quoted.destination))
        elif isinstance(packet.transport, TCP) and packet.transport.flags & _RESET:
            resets.append((packet.transport.destination, packet.transport.source))
    return errors, resets


def errors_about(seen: Seen, flow: Flow, host: Actor) -> list[tuple[str, int, int]]:
    """The ICMP errors about a flow that reached a host: whose, and their types and codes."""
    return [
        (frame.headers.ip.source, icmp.type, icmp.code)
        for frame in seen.frames_of(flow)
        if (frame.interface, frame.direction) == (f"{host.name}:eth0", "in")
        and frame.headers.ip
        and isinstance(icmp := frame.headers.transport, ICMP)
        and icmp.is_error
    ]
