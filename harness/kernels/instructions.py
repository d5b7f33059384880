# SPDX-License-Identifier: Apache-2.0
"""Instructions instead of time: what a datapath costs in a guest whose clock counts them.

With `-icount shift=0` and one CPU, QEMU's clock moves by a nanosecond for each instruction the
guest executes. A duration then is a number of instructions, the same on a busy machine and on a
quiet one, to a thousandth. It says nothing of caches, branches predicted wrong or parallelism.
"""

from __future__ import annotations

import gc
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

from harness import datapath as datapaths
from harness.bpf.syscall import test_run as run_program
from harness.datapath import Datapath, NodeDatapath, NodeSettings
from harness.datapath.bpf import InstalledBpf
from harness.plumbing.errors import KernelError, TrafficError
from harness.results import ExactFigure
from harness.results.part import family_name
from harness.topology import Family, Network, Topology
from harness.topology.addressing import mac_bytes
from harness.traffic.inline import InlineFlow

#: Set in a guest whose clock counts instructions.
VARIABLE = "HOSTROUTE_COUNTING"
SIZE = 64  # bytes of payload
_WARM, _BURSTS, _TRIPS = 500, 12, 100
_RUNS = 15
#: Each repetition takes one from the TTL, so that no more than 254 measure the same path.
_REPEAT = 200
_REDIRECT = 7  # TC_ACT_REDIRECT
#: What is counted: a round trip of UDP between two pods, and from_container by BPF_PROG_TEST_RUN.
ROUND_TRIP, PROGRAM = "round trip", "program cost"
UNIT = "instructions"


def check_counting() -> None:
    """Refuse where the clock shows time.

    Raises:
        KernelError: This is no guest whose clock counts instructions.
    """
    if os.environ.get(VARIABLE) != "1":
        raise KernelError(
            "the clock of this machine shows time, not instructions",
            "use `hostroute kernels bench --exact`, which boots a guest that counts",
        )


def measure(
    datapath: Datapath, testbed: str, topology: Topology, settings: NodeSettings
) -> Iterator[ExactFigure]:
    """Build the testbed, and take every figure of a datapath on it.

    Args:
        datapath: What the nodes run.
        testbed: The testbed's name, for the figures.
        topology: What it is made of.
        settings: Every node's.

    Raises:
        KernelError: A node cannot run the datapath.
        TrafficError: A packet was lost, or a program did another thing than redirect it.
    """
    with ExitStack() as closing:
        network = closing.enter_context(Network(topology))
        nodes = datapaths.install(datapath, network.nodes, settings)
        for entry in nodes:
            closing.callback(entry.installed.remove)
        for entry in nodes:
            if entry.degraded:
                raise KernelError(f"{datapath.name}: {entry.status()}")
        for family in Family:
            found = {ROUND_TRIP: _round_trip(network, family)}
            if isinstance(nodes[0].installed, InstalledBpf):
                found[PROGRAM] = _program(network, nodes[0], family)
            for figure, value in found.items():
                yield ExactFigure(
                    datapath=datapath.name, family=family_name(family), testbed=testbed,
                    figure=figure, value=value, unit=UNIT,
                )  # fmt: skip


def _round_trip(network: Network, family: Family) -> float:
    """Instructions from the first pod to the last and back, the four system calls among them."""
    client, server = network.pods[0], network.pods[-1]
    addresses = client.addresses[family], server.addresses[family]
    gc.collect()
    with InlineFlow(client.ns, server.ns, family, addresses, "udp", SIZE) as flow:
        flow.burst(_WARM)
        # One trip in 150 has a timer's interrupt in it: the median has none.
        return median(median(flow.burst(_TRIPS)) for _ in range(_BURSTS))


def _program(network: Network, node: NodeDatapath, family: Family) -> float:
    """Instructions of from_container on a packet to another pod, without hook and redirect."""
    client, server = network.pods[0], network.pods[-1]
    installed = node.installed
    assert isinstance(installed, InstalledBpf)
    frame = mac_bytes(client.lxc_mac) + mac_bytes(client.mac)
    frame += _packet(family, client.addresses[family], server.addresses[family])
    with client.node.ns:
        ifindex = client.node.ifindex(client.lxc)
        fd = installed.module.fd("from_container")
        runs = [run_program(fd, frame, _REPEAT, ifindex) for _ in range(_RUNS)]
    if {run.action for run in runs} != {_REDIRECT}:
        raise TrafficError(
            f"from_container of {installed.name} did not redirect the test packet"
            f" ({', '.join(str(run.action) for run in runs[:3])}, …)"
        )
    return median(run.nanoseconds for run in runs)


def _packet(family: Family, source: str, destination: str) -> bytes:
    """A UDP packet from its EtherType on; scapy would take two seconds to be imported."""
    udp = struct.pack("!HHHH", 1, 2, 8 + SIZE, 0) + bytes(SIZE)
    addresses = socket.inet_pton(family.af, source) + socket.inet_pton(family.af, destination)
    if family is Family.ipv6:
        return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(udp), 17, 255) + addresses + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 255, 17, 0) + addresses
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return b"\x08\x00" + head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + udp
