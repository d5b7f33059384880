# SPDX-License-Identifier: Apache-2.0
"""Many netlink requests in one system call, their encodings remembered.

pyroute2 takes 0.3 ms to encode a request, and a testbed takes a hundred of them, the same from one
test to the next. What it encoded is sent again as it is; the kernel answers each request of a
batch, in order (netlink_rcv_skb(), net/netlink/af_netlink.c).
"""

from __future__ import annotations

import atexit
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache, lru_cache
from typing import Any

from pyroute2 import IPBatch
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import states as link_states

from harness.plumbing.errors import KernelError
from harness.plumbing.netlink_attributes import attributes
from harness.plumbing.netns import NetNS

_HEADER, _ERROR = struct.Struct("=IHHII"), struct.Struct("=i")
_LINK = struct.Struct("=BxHiII")  # ifinfomsg
_OPERSTATE = 16  # IFLA_OPERSTATE, uapi/linux/if_link.h
_TYPE_ERROR = 2  # NLMSG_ERROR: an acknowledgement, or a refusal
_ANSWERS = 1 << 16
# Whose answers a socket's buffer holds for sure: acknowledgements, and links, of 1.5 KiB each.
_AT_ONCE, _LINKS_AT_ONCE = 100, 20
_SECONDS = 5.0


class Fields(dict[str, Any]):
    """Fields within a field, as a veth's peer has; not to be changed any more."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


@cache
def _kept() -> IPBatch:
    encoder = IPBatch()
    atexit.register(encoder.close)
    return encoder


@contextmanager
def _encoder() -> Iterator[IPBatch]:
    """An encoder; it has a socket and an event loop, though it sends nothing: one for each thread.

    The main thread's is kept, as to make one takes 2 ms; other threads close theirs.
    """
    if threading.current_thread() is threading.main_thread():
        yield _kept()
    else:
        with closing(IPBatch()) as encoder:
            yield encoder


@lru_cache(maxsize=4096)
def _encoded(method: str, command: str, fields: tuple[tuple[str, Any], ...]) -> bytes:
    with _encoder() as encoder:
        encoder.reset()
        getattr(encoder, method)(command, **dict(fields))
        return bytes(encoder.asyncore.batch)


class Batch:
    """Requests to one namespace, sent together by `send`."""

    def __init__(self, ns: NetNS) -> None:
        self._ns = ns
        self._requests: list[bytes] = []
        self._tolerated: list[tuple[int, ...]] = []

    def add(
        self, method: str, command: str, tolerated: tuple[int, ...] = (), **fields: Any
    ) -> None:
        """Take a request, as `IPRoute.<method>(command, **fields)` would.

        Args:
            method: `link`, `addr`, `route`, `neigh`, `tc`, …
            command: `add`, `set`, `del`, …
            tolerated: Each errno with which the kernel may refuse it.
            **fields: The request's; hashable.
        """
        self._requests.append(_encoded(method, command, tuple(sorted(fields.items()))))
        self._tolerated.append(tolerated)

    def take(self, request: bytes) -> None:
        """Take a request that was encoded already: what pyroute2 cannot encode.

        Args:
            request: A netlink message that asks for an acknowledgement.
        """
        self._requests.append(request)
        self._tolerated.append(())

    def send(self) -> None:
        """Send what was taken, in order.

        Raises:
            NetlinkError: The kernel refused one; those behind it were asked all the same.
            KernelError: It did not answer.
        """
        requests, self._requests = self._requests, []
        tolerated, self._tolerated = self._tolerated, []
        codes, _ = _exchange(self._ns, requests, _AT_ONCE)
        for code, accepted in zip(codes, tolerated, strict=True):
            if code not in (0, *accepted):
                raise NetlinkError(code, os.strerror(code))


def operational_states(ns: NetNS, ifindexes: Sequence[int]) -> list[str]:
    """The RFC 2863 state of each link, as `UP`; `UNKNOWN`: no change of it was ever looked at.

    A single link is answered for under the kernel's RTNL, as linkwatch works: what a link that is
    `UP` had to tell others of it, they have been told. Since facd15dfd691 (Linux 6.8) the question
    itself does linkwatch's work.

    Raises:
        NetlinkError: There is no such link.
        KernelError: The kernel did not answer.
    """
    requests = [_encoded("link", "get", (("index", ifindex),)) for ifindex in ifindexes]
    codes, links = _exchange(ns, requests, _LINKS_AT_ONCE)
    for code in filter(None, codes):
        raise NetlinkError(code, os.strerror(code))
    states = dict(map(_operational_state, links))
    return [states[ifindex] for ifindex in ifindexes]


def _operational_state(link: bytes) -> tuple[int, str]:
    """Index and state of a link; pyroute2 takes 1 ms to decode all that the message says of it."""
    _, _, ifindex, *_ = _LINK.unpack_from(link, _HEADER.size)
    state = attributes(link, _HEADER.size + _LINK.size).get(_OPERSTATE, b"\0")
    return ifindex, link_states[state[0]]


def _exchange(ns: NetNS, requests: Sequence[bytes], at_once: int) -> tuple[list[int], list[bytes]]:
    """The errno of each request, 0 where it was granted, and the links they asked for."""
    codes: list[int] = []
    links: list[bytes] = []
    with ns.channel() as channel:
        channel.settimeout(_SECONDS)
        for start in range(0, len(requests), at_once):
            part = requests[start : start + at_once]
            channel.sendto(b"".join(part), (0, 0))
            codes += _answers(channel, len(part), ns.name, links)
    return codes, links


def _answers(channel: socket.socket, expected: int, name: str, links: list[bytes]) -> list[int]:
    """The errno of each of as many requests; takes the links that come with them."""
    codes: list[int] = []
    while len(codes) < expected:
        try:
            answer = channel.recv(_ANSWERS)
        except TimeoutError:
            raise KernelError(
                f"netlink in {name}: {len(codes)} of {expected} requests answered"
            ) from None
        while answer:
            length, kind, *_ = _HEADER.unpack_from(answer)
            if kind == _TYPE_ERROR:
                codes.append(-_ERROR.unpack_from(answer, _HEADER.size)[0])
            elif kind == RTM_NEWLINK:
                links.append(answer[:length])
            answer = answer[length:]
    return codes
