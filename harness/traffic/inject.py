# SPDX-License-Identifier: Apache-2.0
"""Put a crafted frame on an interface, from outside the IP stack."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from harness.plumbing.errors import TrafficError
from harness.plumbing.netns import NetNS
from harness.traffic.fence import Fence, pinned

_SOL_PACKET, _QDISC_BYPASS = 263, 20  # SOL_PACKET and PACKET_QDISC_BYPASS, packet(7)
_NONE: Mapping[int, int] = MappingProxyType({})


def inject(
    ns: NetNS, ifname: str, frames: Sequence[bytes], *, past_egress: bool = False,
    options: Mapping[int, int] = _NONE,
) -> int:  # fmt: skip
    """Transmit frames and return when each has come to its end.

    Args:
        ns: Namespace of the interface.
        ifname: The interface.
        frames: Whole frames, Ethernet header first (scapy's `bytes(packet)`).
        past_egress: Hand them to the driver, past what the interface does on the way out: programs
            at tc egress, netfilter's egress hook, the qdisc. No capture shows them there, as taps
            are passed, too (dev_direct_xmit(), net/core/dev.c).
        options: Options of SOL_SOCKET that the frames leave with, such as SO_PRIORITY.

    Returns:
        How many of them were dropped on the way out, by a program at tc egress or netkit's: they
        count as sent, and are lost.

    Raises:
        TrafficError: There is no such interface, it is down, or it does not take a frame.
    """
    dropped = 0
    with _sender(ns) as sock, Fence(ns) as fence:
        sock.setsockopt(_SOL_PACKET, _QDISC_BYPASS, past_egress)
        for option, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, option, value)
        try:
            with ns:
                sock.bind((ifname, 0))
        except OSError as error:
            raise TrafficError(f"{ns.name}: cannot send from {ifname} ({error.strerror})") from None
        with pinned():
            for number, frame in enumerate(frames, 1):
                dropped += not _sent(sock, frame, f"{ns.name}:{ifname}: frame {number}")
            fence.pass_()
    return dropped


@contextmanager
def _sender(ns: NetNS) -> Iterator[socket.socket]:
    """A packet socket; a thread closes it, which takes an RCU grace period: some 14 ms."""
    sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW)
    try:
        yield sock
    finally:
        closing = threading.Thread(target=sock.close, name="close a packet socket")
        closing.start()
        _closing.append(closing)


_closing: list[threading.Thread] = []


def await_closed() -> None:
    """Return when the kernel has let go of every socket that frames were sent from."""
    while _closing:
        _closing.pop().join()


def _sent(sock: socket.socket, frame: bytes, which: str) -> bool:
    """Whether a frame left the interface.

    A verdict of "drop" on the way out comes back as ENOBUFS (net_xmit_errno(), packet_snd()).
    """
    try:
        sock.send(frame)
    except OSError as error:
        if error.errno == errno.ENOBUFS:
            return False
        raise TrafficError(
            f"{which}, of {len(frame)} B, cannot be sent ({error.strerror})",
            "is the interface up, and the frame whole and within its MTU?",
        ) from None
    return True
