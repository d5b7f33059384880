# SPDX-License-Identifier: Apache-2.0
"""Put a crafted frame on an interface, from outside the IP stack."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from harness.plumbing.netns import NetNS
from harness.traffic.fence import Fence, pinned


def inject(ns: NetNS, ifname: str, frames: Sequence[bytes]) -> None:
    """Transmit frames and return when each has come to its end.

    Args:
        ns: Namespace of the interface.
        ifname: The interface.
        frames: Whole frames, Ethernet header first (scapy's `bytes(packet)`).
    """
    with ns.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock, Fence(ns) as fence:
        with ns:
            sock.bind((ifname, 0))
        with pinned():
            for frame in frames:
                sock.send(frame)
            fence.pass_()
