# SPDX-License-Identifier: Apache-2.0
"""What an attachment is: a program at a place, ours to detach, or as the kernel lists it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.plumbing.closable import Closable

INGRESS, EGRESS = "ingress", "egress"


@dataclass(frozen=True)
class Listed:
    """A program on a hook, as the kernel lists it.

    Attributes:
        interface: The device's name.
        direction: `ingress` or `egress`.
        program: The filter's name, or the program's.
        tag: The program's tag, 16 hexadecimal digits.
        id: The program's id. The same program loaded again has another, and is equal to it here.
        hook: `clsact`, `tcx`, `netkit` or `xdp`.
        link: The id of the BPF link that holds it; 0: none does.
    """

    interface: str
    direction: str
    program: str
    tag: str
    id: int = field(default=0, compare=False)
    hook: str = "clsact"
    link: int = field(default=0, compare=False)

    def __str__(self) -> str:
        link = f" link {self.link}" if self.link else ""
        place = f"{self.interface} {self.direction} {self.hook}"
        return f"{place} {self.program} tag {self.tag} id {self.id}{link}"


class Attachment(Closable):
    """A program that we attached. Closing it detaches it.

    Attributes:
        hook: `clsact`, `tcx` or `netkit`.
        direction: `ingress` or `egress`.
        link: The id of its BPF link; 0: it has none.
    """

    def __init__(
        self,
        hook: str,
        direction: str,
        rows: Callable[[], list[Listed]],
        detach: Callable[[], None],
        link: int = 0,
    ) -> None:
        """Take over what was attached.

        Args:
            hook: As the attribute.
            direction: As the attribute.
            rows: Asks the kernel for this very attachment: one row, or none.
            detach: Detaches the program; does nothing if it is already detached.
            link: As the attribute.
        """
        self.hook, self.direction, self.link = hook, direction, link
        self._rows = rows
        self._detach: Callable[[], None] | None = detach

    def listed(self) -> Listed | None:
        """How the kernel lists it now; None: it is detached, or its device is gone."""
        rows = self._rows()
        return rows[0] if rows else None

    def detach(self) -> None:
        """Take the program off; the second time there is nothing to do."""
        detach, self._detach = self._detach, None
        if detach is not None:
            detach()

    def close(self) -> None:
        """Take the program off."""
        self.detach()
