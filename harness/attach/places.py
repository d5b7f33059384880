# SPDX-License-Identifier: Apache-2.0
"""What a node's hooks are to hold: what is missing is attached, what is not wanted is taken off."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from harness.attach.attachment import Attachment
from harness.attach.listing import HOOKS
from harness.plumbing.closable import Closable
from harness.plumbing.netns import NetNS


@dataclass(frozen=True)
class Place:
    """A program at a hook of a device.

    Attributes:
        hook: A key of `HOOKS`.
        direction: `ingress` or `egress`.
        ifindex: The device.
        fd: The program.
        program: What it is called.
    """

    hook: str
    direction: str
    ifindex: int
    fd: int
    program: str


class Placed(Closable):
    """The programs of one owner on a namespace's devices."""

    def __init__(self, ns: NetNS) -> None:
        self._ns = ns
        self._attached: dict[Place, Attachment] = {}

    def make(self, wanted: Iterable[Place]) -> None:
        """Have programs at these places and nowhere else, in this order.

        A device that was made anew under its old index has lost its program, so the kernel is asked
        for each.

        Raises:
            KernelError: One cannot be attached, and why.
        """
        places = dict.fromkeys(wanted)
        for place, attachment in list(self._attached.items()):
            if place not in places or attachment.listed() is None:
                self._attached.pop(place).detach()
        for place in places:
            if place not in self._attached:
                self._attached[place] = HOOKS[place.hook].attach(
                    self._ns, place.ifindex, place.direction, place.fd, place.program
                )

    def close(self) -> None:
        """Take all of them off, the last one first."""
        with ExitStack() as detaching:  # one that fails must not keep the others attached
            for attachment in self._attached.values():
                detaching.callback(attachment.detach)
            self._attached.clear()
