# SPDX-License-Identifier: Apache-2.0
"""Testbeds under policy, and who gets what there."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from harness.datapath import Datapath, NodeSettings, Policy, Rule, Timeouts
from harness.plugin.building import BuildTestbed
from harness.testbed import Actor, PodActor, Testbed
from harness.topology import Family
from testbeds.packets import from_pod

_ETH_P_ALL = 3
_MORE = 1 << 22  # bytes of a tap's buffer


def selects(pod: str, direction: str) -> Rule:
    """A rule that allows nothing which a test sends: all else is denied by default."""
    return Rule(pod, direction, protocol="tcp", port=9)


def policed(
    build: BuildTestbed, name: str, datapath: Datapath, family: Family, *rules: Rule,
    timeouts: Timeouts | None = None, **topology: object,
) -> Testbed:  # fmt: skip
    """A testbed whose nodes hold their pods to rules."""
    policy = Policy(rules, timeouts or Timeouts())
    settings = NodeSettings(legacy_services=1, policy=policy)
    return build(name, datapath, family, topology, settings=settings)


def mute(pod: PodActor) -> None:
    """Take a pod's address away: it gets what is sent to it, and answers nothing."""
    pod.delete_address("eth0", pod.address, pod.family.host_prefix)


def _tag(name: str) -> bytes:
    return f"<{name}>".encode()


class Tap:
    """What enters a host through an interface."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def frames(self) -> list[bytes]:
        """Frames that came since they were last asked for."""
        found: list[bytes] = []
        while True:
            try:
                frame, sender = self._socket.recvfrom(65535)
            except BlockingIOError:
                return found
            if sender[2] != socket.PACKET_OUTGOING:
                found.append(frame)

    def named(self, names: Mapping[str, object]) -> list[str]:
        """Which of those that `tagged` named came since."""
        frames = self.frames()
        return [name for name in names if any(_tag(name) in frame for frame in frames)]


@contextmanager
def tapped(host: Actor, interface: str = "eth0") -> Iterator[Tap]:
    """Look at what enters a host, past whatever is made of it there."""
    with host.ns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _MORE)
        sock.bind((interface, _ETH_P_ALL))
        yield Tap(sock)


def tagged(packets: Mapping[str, Packet]) -> list[Packet]:
    """Packets that say who they are."""
    return [packet / Raw(_tag(name)) for name, packet in packets.items()]


def reach(sender: PodActor, tap: Tap, packets: Mapping[str, Packet]) -> list[str]:
    """Send packets of a pod, one after the other; returns which of them reach the tap."""
    sender.inject("eth0", [from_pod(sender, packet) for packet in tagged(packets)])
    return tap.named(packets)


def reach_off_wire(
    sender: Actor, node: Actor, tap: Tap, packets: Mapping[str, Packet], destination: str = ""
) -> list[str]:
    """The same of packets that somebody else on the wire sends to a node."""
    ether = Ether(src=sender.macs["enp0s8"], dst=destination or node.macs["enp0s8"])
    frames = [bytes(ether / packet) for packet in tagged(packets)]
    sender.inject("enp0s8", frames, past_egress=True)
    return tap.named(packets)
