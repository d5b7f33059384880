# SPDX-License-Identifier: Apache-2.0
"""ARP and neighbour discovery that pods send, counted before programs see it.

A program that answers them takes the question away and redirects an answer back: without this they
would pass for packets that bypass the stack. A packet socket sees a frame before tc does; its
filter lets nothing else through to be kept.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections import Counter

from harness.plumbing.closable import Closable
from harness.plumbing.netns import NetNS

_EVERYTHING = 0x0003  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING, uapi/linux/if_packet.h
_IGNORE_OUTGOING, _SOL_PACKET = 23, 263  # since 4.20
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER, uapi/asm-generic/socket.h
_ROOM = 1 << 20
#: Classic BPF, `arp or (ip6 and icmp6[0] >= 133 and icmp6[0] <= 136)` of an Ethernet frame, which
#: keeps 64 bytes: opcode, jump if true, jump if false, constant.
_FILTER = (
    (0x28, 0, 0, 12),  # the EtherType
    (0x15, 6, 0, 0x0806),
    (0x15, 0, 6, 0x86DD),
    (0x30, 0, 0, 20),  # IPv6's next header
    (0x15, 0, 4, 58),
    (0x30, 0, 0, 54),  # ICMPv6's type
    (0x35, 0, 2, 133),
    (0x25, 1, 0, 136),
    (0x06, 0, 0, 64),
    (0x06, 0, 0, 0),
)


class Asked(Closable):
    """Counts from now on until it is closed."""

    def __init__(self, ns: NetNS) -> None:
        """Begin.

        Raises:
            OSError: The kernel refuses: NET_RAW is missing.
        """
        self._counts: Counter[str] = Counter()
        self._socket = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        try:
            code = b"".join(struct.pack("=HBBI", *each) for each in _FILTER)
            held = ctypes.create_string_buffer(code, len(code))
            program = struct.pack("@HP", len(_FILTER), ctypes.addressof(held))
            self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
            self._socket.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
            self._socket.setblocking(False)
            self.read()  # what came before there was a filter
            self._counts.clear()
        except BaseException:
            self.close()
            raise

    def read(self) -> dict[str, int]:
        """Device → how many came in by it."""
        while True:
            try:
                _, (device, _, kind, *_) = self._socket.recvfrom(64)
            except BlockingIOError:
                return dict(self._counts)
            if kind != _OUTGOING:
                self._counts[device] += 1

    def close(self) -> None:
        """Stop counting."""
        self._socket.close()
