# SPDX-License-Identifier: Apache-2.0
"""Tables of legs: written by a person, or seen; `==` means exactly."""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from collections.abc import Sequence

from harness.traffic.flow import Flow
from harness.watch.capture import Frame
from harness.watch.legs.classify import ERROR, REPLY, REQUEST, kind_of, look

ARROWS = {"in": "<", "out": ">"}
Leg = tuple[str, str, str]  # interface, arrow, kind
Packet = tuple[int, int | None]  # index of the flow, number of the request
_FLOW_KINDS = (REQUEST, REPLY, ERROR)


class LegTable:
    """Which legs there are.

    Attributes:
        legs: (interface, `<` or `>`, kind) → remark. An empty remark: exactly once for each packet
            of the flow, in order (for frames outside the flow: exactly once). Anything else is
            said, as in `3 of 10` or `2 more than once`.
    """

    def __init__(self, legs: dict[Leg, str], order: Sequence[str] = ()) -> None:
        self.legs = legs
        self._order = list(order)

    @classmethod
    def parse(cls, text: str) -> LegTable:
        """Read a table as a person writes it.

        A line is an interface and its legs: `master:lxc1 < request > reply`. `>` leaves the
        namespace through the interface, `<` enters it. Blank lines and `#` comments are skipped.

        Raises:
            ValueError: A line is not of that form, or a leg stands twice.
        """
        legs: dict[Leg, str] = {}
        order = []
        for line in text.splitlines():
            words = line.split("#")[0].split()
            if not words:
                continue
            interface, rest = words[0], words[1:]
            if ":" not in interface or len(rest) % 2:
                raise ValueError(f"not `interface arrow kind …`: {line.strip()!r}")
            order.append(interface)
            for arrow, kind in zip(rest[::2], rest[1::2], strict=True):
                if arrow not in ("<", ">"):
                    raise ValueError(f"neither < nor >: {arrow!r} in {line.strip()!r}")
                if (interface, arrow, kind) in legs:
                    raise ValueError(f"twice: {arrow} {kind} at {interface}")
                legs[interface, arrow, kind] = ""
        return cls(legs, order)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            other = LegTable.parse(other)
        return isinstance(other, LegTable) and self.legs == other.legs

    __hash__ = None  # type: ignore[assignment]

    def interfaces(self) -> list[str]:
        """Interfaces in the order in which they were named or seen."""
        rest = [interface for interface, _, _ in self.legs if interface not in self._order]
        return list(dict.fromkeys([*self._order, *rest]))

    def row(self, interface: str) -> str:
        """One interface's legs, as in `< request  > reply`."""
        cells = []
        for (where, arrow, kind), remark in sorted(self.legs.items(), key=_cell_order):
            if where == interface:
                cells.append(f"{arrow} {kind}" + (f" ({remark})" if remark else ""))
        return "   ".join(cells)

    def __str__(self) -> str:
        rows = [(interface, self.row(interface)) for interface in self.interfaces()]
        return "\n".join(f"{interface:<16}{row}" for interface, row in rows if row) or "no legs"

    def __repr__(self) -> str:
        return f"LegTable(\n{self}\n)"


def _cell_order(item: tuple[Leg, str]) -> tuple[int, str]:
    name = item[0][2]
    kind = kind_of(name)
    return (_FLOW_KINDS.index(kind) if kind in _FLOW_KINDS else len(_FLOW_KINDS), name)


def _remark(sightings: list[Packet | None], sent: list[Packet]) -> str:
    """What is not as it should be about a leg's sightings; empty: nothing."""
    packets = [packet for packet in sightings if packet is not None]
    if not packets:  # frames outside every flow
        return "" if len(sightings) == 1 else f"{len(sightings)} times"
    if packets == sent:
        return ""
    if all(number is None for _, number in packets):  # quotes too short to tell which
        flows = {index for index, _ in packets}
        asked = sum(index in flows for index, _ in sent)
        return "" if len(packets) == asked else f"{len(packets)} of {asked}"
    missing = (Counter(sent) - Counter(packets)).total()
    again = (Counter(packets) - Counter(sent)).total()
    parts = []
    if missing:
        parts.append(f"{len(sent) - missing} of {len(sent)}")
    if again:
        parts.append(f"{again} more than once")
    return ", ".join(parts) or "out of order"


def legs_of(
    frames: Sequence[Frame], flows: Sequence[Flow], interfaces: Sequence[str] = ()
) -> LegTable:
    """The legs that a capture saw.

    Args:
        frames: In the order of their times.
        flows: The flows that ran; every frame outside them is a leg of its own kind.
        interfaces: The order of the rows.
    """
    seen: dict[Leg, list[Packet | None]] = defaultdict(list)
    for frame in frames:
        kind, packet = look(frame, flows)
        seen[frame.interface, ARROWS[frame.direction], kind].append(packet)
    legs = {
        leg: _remark(sightings, [
            packet
            for index, flow in enumerate(flows)
            for packet in _sent(index, flow, kind_of(leg[2]), seen)
        ])
        for leg, sightings in seen.items()
    }  # fmt: skip
    return LegTable(legs, interfaces)


def _sent(
    index: int, flow: Flow, kind: str, seen: dict[Leg, list[Packet | None]]
) -> list[Packet]:  # fmt: skip
    """The packets of a flow that a leg of a kind, in whatever form, must have.

    Crafted segments are known beforehand. How many a stream takes its sender decides; `seen` is in
    the order of the frames' times, so a flow's first tap is its sender's. Every other must have
    seen the same.
    """
    if flow.sent or flow.protocol != socket.IPPROTO_TCP:
        return [(index, number) for number in flow.sent]
    taps = (
        [packet for packet in sightings if packet is not None and packet[0] == index]
        for leg, sightings in seen.items()
        if kind_of(leg[2]) == kind and leg[1] == ">"
    )
    return next((tap for tap in taps if tap), [])
