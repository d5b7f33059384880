# SPDX-License-Identifier: Apache-2.0
"""What a capture saw of the flows that ran while it was open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.traffic import Flow
from harness.watch.capture import Frame
from harness.watch.legs import LegTable, classify, legs_of, look


class Seen:
    """Filled when the capture's context ends.

    Attributes:
        flows: Flows that ran meanwhile.
        frames: Every frame of every interface, in the order of their times.
        directory: Where the pcap files are.
    """

    def __init__(self, directory: Path, interfaces: Sequence[str]) -> None:
        self.directory = directory
        self.flows: list[Flow] = []
        self.frames: list[Frame] = []
        self._interfaces = list(interfaces)
        self.complete = False
        self._legs: LegTable | None = None  # the report shows what the test compared

    def legs(self, flow: Flow | None = None) -> LegTable:
        """The legs seen; compare with a table by ==.

        Args:
            flow: One of several; what belongs to the others, or to none, is left out.
        """
        self._check()
        if flow is not None:
            return legs_of(self.frames_of(flow), [flow], self._interfaces)
        if self._legs is None:
            self._legs = legs_of(self.frames, self.flows, self._interfaces)
        return self._legs

    def frames_of(self, flow: Flow) -> list[Frame]:
        """One flow's frames: requests, replies, and errors about them."""
        self._check()
        return [frame for frame in self.frames if look(frame, [flow])[1] is not None]

    def at(self, interface: str, kind: str, direction: str = "") -> list[Frame]:
        """Frames of one kind at an interface.

        Args:
            interface: `pod1:eth0`.
            kind: `request`, `reply.b`, `error`, `who-has`, … (see `legs.classify`).
            direction: `in`, `out`, or both.
        """
        self._check()
        if any(flow.learns for flow in self.flows):
            self.legs()  # in the order of all frames, so that the first packet fixes the port
        return [
            frame
            for frame in self.frames
            if frame.interface == interface
            and (not direction or frame.direction == direction)
            and classify(frame, self.flows) == kind
        ]

    def _check(self) -> None:
        if not self.complete:
            raise RuntimeError("the capture is still open: leave its `with` block first")
