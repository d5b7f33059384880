# SPDX-License-Identifier: Apache-2.0
"""Counts of what enters a node's stack, by a table of nft that dies with this process.

The table has `flags owner` (5.12): the kernel removes it when the netlink socket that made it is
closed, which is that of an `nft -i` on a pipe of ours. It uses no `ct` expression, which would
switch connection tracking on. It loads no module: the caller has checked that nf_tables is there.

nft 1.0.6 packs the types of a key into 32 bits, 6 bits each: a key has five parts at the most.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.plumbing.closable import Closable
from harness.plumbing.errors import CommandError, KernelError
from harness.plumbing.netns import NetNS
from harness.plumbing.process import spawn_tool
from harness.plumbing.signals import interrupt_if_due

_DEADLINE = 30.0  # seconds, for nft to begin and for each answer: it reads all rules first
_FIRST = -500  # before every chain that others have there, a flowtable's too
_ENTRIES = 65535
#: How many flows of each kind are counted.
FLOWS = 4096
_DEVICES_A_CHAIN = 200  # NFT_NETDEVICE_MAX is 256

#: Set → the types of its key, the chain that fills it, and the rule, but for `update @set`.
_COUNTS: tuple[tuple[str, str, str, str, str], ...] = (
    ("entered", "iface_index", "prerouting", "meta pkttype host", "meta iif"),
    ("to_node", "iface_index", "input", "meta pkttype host", "meta iif"),
    ("forwarded", "iface_index . iface_index", "forward", "", "meta iif . meta oif"),
    ("of_node", "iface_index", "output", "", "meta oif"),
    ("left", "iface_index", "postrouting", "", "meta oif"),
)
#: Kind of flow → type of the key's last part, what is matched first, and that part.
_KINDS: dict[str, tuple[str, str, str]] = {
    "tcp": ("inet_service", "", "tcp dport"),
    "udp": ("inet_service", "", "udp dport"),
    "other": ("inet_proto", "meta l4proto != { tcp, udp }", "meta l4proto"),
}
#: Hooks of devices that are counted at.
_HOOKS = ("ingress", "egress")
_FAMILIES = {"4": ("ipv4_addr", "ip"), "6": ("ipv6_addr", "ip6")}


@dataclass(frozen=True)
class Flow:
    """Packets of one kind from one address to another that FORWARD saw.

    Attributes:
        source: Address.
        destination: Address.
        protocol: `tcp`, `udp`, or another's name or number.
        port: The destination's; 0: the protocol has none.
        came: The device by which they came.
        went: The device by which they were to go.
        packets: How many.
    """

    source: str
    destination: str
    protocol: str
    port: int
    came: str
    went: str
    packets: int


@dataclass
class Counted:
    """What was counted, by the names of devices.

    Attributes:
        passed: (Device, `ip` and so on, `host` and so on) → packets that got past the programs at
            its ingress. None: the kernel has no such hook.
        entered: Device → packets for the node's MAC that entered the IP stack.
        to_node: Device → those that were for the node itself.
        forwarded: (Device in, device out) → packets at FORWARD.
        of_node: Device → packets of the node's own that went out by it.
        left: Device → packets of the stack that went out by it.
        flows: What FORWARD saw.
        full: Whether there were more flows than are counted.
        sent: The same as `passed` of what is sent by a device, but for what a program at an ingress
            redirected: that hook is skipped then (nf_skip_egress(), linux/netfilter_netdev.h).
            None: the kernel has no such hook.
    """

    passed: dict[tuple[str, str, str], int] | None = None
    entered: dict[str, int] = field(default_factory=dict)
    to_node: dict[str, int] = field(default_factory=dict)
    forwarded: dict[tuple[str, str], int] = field(default_factory=dict)
    of_node: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    flows: list[Flow] = field(default_factory=list)
    full: bool = False
    sent: dict[tuple[str, str, str], int] | None = None


def in_stack(table: str) -> str:
    """The table that counts in the IP stack, on one line, as `nft -i` wants it."""
    sets, rules = [], {}
    for name, key, chain, match, value in _COUNTS:
        sets.append(_set(name, key, _ENTRIES))
        rules[chain] = [f"{match} update @{name} {{ {value} }}"]
    for digit, (address, protocol) in _FAMILIES.items():
        for kind, (last, match, value) in _KINDS.items():
            name = f"{kind}{digit}"
            sets.append(_set(name, f"iface_index . iface_index . {address} . {address} . {last}",
                             FLOWS))  # fmt: skip
            key = f"meta iif . meta oif . {protocol} saddr . {protocol} daddr . {value}"
            rules["forward"].append(f"{match} update @{name} {{ {key} }}")
    chains = [
        f"chain {hook} {{ type filter hook {hook} priority {_FIRST}; {'; '.join(each)}; }};"
        for hook, each in rules.items()
    ]
    return f"table inet {table} {{ flags owner; {' '.join((*sets, *chains))} }}"


def _set(name: str, key: str, size: int) -> str:
    return f"set {name} {{ type {key}; flags dynamic; size {size}; counter; }};"


def at_devices(table: str, hook: str, devices: Sequence[str]) -> str:
    """The table that counts at devices, on one line.

    Args:
        table: Its name.
        hook: `ingress`: what programs there let pass. `egress` (5.16): what is sent, but for what
            programs redirected at an ingress.
        devices: The devices.
    """
    value = {"ingress": "meta iif", "egress": "meta oif"}[hook]
    chains = []
    for start in range(0, len(devices), _DEVICES_A_CHAIN):
        names = ", ".join(f'"{name}"' for name in devices[start : start + _DEVICES_A_CHAIN])
        chains.append(
            f"chain {hook}{start} {{ type filter hook {hook} devices = {{ {names} }} priority"
            f" {_FIRST}; update @packets {{ {value} . meta protocol . meta pkttype }}; }};"
        )
    packets = _set("packets", "iface_index . ether_type . pkt_type", _ENTRIES)
    return f"table netdev {table} {{ flags owner; {packets} {' '.join(chains)} }}"


class StackCounters(Closable):
    """The counters on a node's hooks, from 0 on, until it is closed or this process ends.

    Attributes:
        absent: Hook of devices that is not counted → why.
    """

    def __init__(self, ns: NetNS, devices: Sequence[str]) -> None:
        """Begin to count; returns when the counters are there.

        Args:
            ns: The node's namespace.
            devices: Where programs at ingress take packets away.

        Raises:
            HarnessError: nft is missing, or refuses.
        """
        self._ns, self._name = ns, f"hostroute_inspect_{os.getpid()}"
        self._files = os.memfd_create("nft", os.MFD_CLOEXEC)
        self.absent = dict.fromkeys(_HOOKS, "no device to count at")
        try:
            with ns:  # a session of its own: a terminal's Ctrl-C must not end it before us
                self._nft = spawn_tool(
                    ["nft", "-i"], stdin=subprocess.PIPE, stdout=self._files, stderr=self._files,
                    start_new_session=True,
                )  # fmt: skip
        except BaseException:
            os.close(self._files)
            raise
        try:
            self._tell(in_stack(self._name), "inet", self._name)
            if devices:
                tried = {hook: self._try(hook, devices) for hook in _HOOKS}
                self.absent = {hook: why for hook, why in tried.items() if why}
        except BaseException:
            self.close()
            raise

    def _try(self, hook: str, devices: Sequence[str]) -> str:
        table = f"{self._name}_{hook}"
        try:
            self._tell(at_devices(table, hook, devices), "netdev", table)
        except KernelError as error:
            return error.what
        return ""

    def _said(self) -> str:
        return os.pread(self._files, 1 << 16, 0).decode(errors="replace")

    def _tell(self, line: str, family: str, table: str) -> None:
        """Give nft a line, and return when the kernel has its table."""
        before = len(self._said())
        assert self._nft.stdin is not None
        try:
            self._nft.stdin.write(f"{line}\n".encode())
            self._nft.stdin.flush()
        except BrokenPipeError:
            pass
        end = time.monotonic() + _DEADLINE
        while not self._is_there(family, table):
            interrupt_if_due()
            said = next(
                (each for each in self._said()[before:].splitlines() if "rror:" in each), ""
            )
            if said or self._nft.poll() is not None or time.monotonic() > end:
                raise KernelError(
                    f"nft makes no counters in {family} ({said or 'no answer'})",
                    "`flags owner` came with Linux 5.12 and nft 0.9.9",
                )

    def _is_there(self, family: str, table: str) -> bool:
        try:
            self._ns.run(["nft", "list", "table", family, table], timeout=_DEADLINE)
        except CommandError:
            return False
        return True

    def read(self) -> Counted:
        """What was counted so far.

        Raises:
            HarnessError: nft does not answer.
        """
        counted = Counted()
        if "ingress" not in self.absent:
            counted.passed = self._at_devices("ingress")
        if "egress" not in self.absent:
            counted.sent = self._at_devices("egress")
        kinds = {f"{kind}{digit}": 0 for digit in _FAMILIES for kind in _KINDS}
        for name, key, packets in self._sets("inet", self._name):
            words = [str(part) for part in key]
            if name in kinds:
                kinds[name] += 1
                counted.flows.append(_flow(name, words, packets))
            elif name == "forwarded":
                counted.forwarded[words[0], words[1]] = packets
            else:
                getattr(counted, name)[words[0]] = packets
        counted.full = any(count >= FLOWS for count in kinds.values())
        return counted

    def _at_devices(self, hook: str) -> dict[tuple[str, str, str], int]:
        rows = self._sets("netdev", f"{self._name}_{hook}")
        return {(str(key[0]), str(key[1]), str(key[2])): packets for _, key, packets in rows}

    def _sets(self, family: str, table: str) -> Iterator[tuple[str, list[Any], int]]:
        """Set, key and packets of every entry of a table."""
        argv = ["nft", "-j", "list", "sets", "table", family, table]
        for item in json.loads(self._ns.run(argv, timeout=_DEADLINE))["nftables"]:
            if item.get("set", {}).get("table") != table:  # nft 1.0.6 lists those of all tables
                continue
            for entry in item["set"].get("elem", ()):
                value, counter = entry["elem"]["val"], entry["elem"].get("counter", {})
                key = value["concat"] if isinstance(value, dict) else [value]
                yield item["set"]["name"], key, int(counter.get("packets", 0))

    def close(self) -> None:
        """Stop counting: nft ends, and its tables with it."""
        try:
            if self._nft.stdin is not None:
                self._nft.stdin.close()
        except BrokenPipeError:
            pass
        finally:
            self._nft.kill()
            self._nft.wait()
            os.close(self._files)


def _flow(name: str, words: list[str], packets: int) -> Flow:
    came, went, source, destination, last = words
    kind = name[:-1]
    protocol = last if kind == "other" else kind
    port = 0 if kind == "other" or not last.isdecimal() else int(last)
    return Flow(source, destination, protocol, port, came, went, packets)
