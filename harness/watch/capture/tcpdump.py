# SPDX-License-Identifier: Apache-2.0
"""tcpdump on one interface, for both directions, that proves it is complete.

Two processes watch an interface, with `-Q in` and `-Q out`: the direction is then the kernel's
word (the packet type), never a guess from MAC addresses, which are what a wrong datapath gets
wrong. (The filters `inbound` and `outbound` would do, but libpcap evaluates the first packet's in
userspace, where the packet type is not known, and loses it.)

The proof: on SIGUSR1 tcpdump prints how many packets it wrote, how many its socket received (of
both directions), and how many were dropped. The socket's count is the same for both processes; when
what both wrote adds up to it, the two files hold all there was. A short capture without
`--immediate-mode` would be silently empty.
"""

from __future__ import annotations

import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from harness.plumbing.errors import CaptureError
from harness.plumbing.netns import NetNS
from harness.plumbing.process import spawn_tool
from harness.plumbing.signals import interruptible

_DEADLINE = 60.0  # seconds, for the start and for each proof: an emulated machine takes ten
_COUNTS = re.compile(
    rb"(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel"
)
DIRECTIONS = ("in", "out")


class Tcpdump:
    """A running tcpdump.

    Attributes:
        interface: `pod1:eth0`.
        direction: `in` or `out`.
        path: The pcap file.
    """

    def __init__(
        self, ns: NetNS, ifname: str, direction: str, path: Path, snaplen: int,
        expression: str = "",
    ) -> None:  # fmt: skip
        """Start it; call `await_ready` before the first packet.

        Args:
            ns: The interface's namespace.
            ifname: The interface.
            direction: `in` or `out`.
            path: The pcap file to write.
            snaplen: Bytes kept of a frame; with --immediate-mode each takes a slot of that size,
                and some, in a ring of 2 MiB.
            expression: Which packets, as pcap-filter(7) has it; empty: all.
        """
        self.interface, self.direction, self.path = f"{ns.name}:{ifname}", direction, path
        # -Z root: Debian's tcpdump becomes another user otherwise, and chowns what it writes.
        argv = ["tcpdump", "-i", ifname, "-n", "-p", "-U", "--immediate-mode", "-Z", "root",
                "-s", str(snaplen), "-B", "2048", "--time-stamp-precision=nano",
                "-w", str(path), "-Q", direction, *filter(None, [expression])]  # fmt: skip
        with ns:
            self._process = spawn_tool(argv, stderr=subprocess.PIPE, bufsize=0)
        self._text = b""

    def _read_until(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        """Read stderr until it matches; consumes what matched."""
        assert self._process.stderr is not None
        waiting = select.poll()
        waiting.register(self._process.stderr, select.POLLIN)
        end = time.monotonic() + _DEADLINE
        while not (match := pattern.search(self._text)):
            # Not select(2): with a thousand pods a descriptor is beyond what it can name.
            with interruptible():
                ready = waiting.poll(max(0.0, end - time.monotonic()) * 1000)
            chunk = self._process.stderr.read(4096) if ready else b""
            if not chunk:
                reason = "ended" if ready else f"did not do so within {_DEADLINE:g} s"
                said = self._text.decode(errors="replace").strip() or "nothing"
                raise CaptureError(f"tcpdump on {self.interface} {reason}: {what}; it said: {said}")
            self._text += chunk
        self._text = self._text[match.end() :]
        return match

    def await_ready(self) -> None:
        """Return when it listens.

        Raises:
            CaptureError: It ended, or did not start in time.
        """
        self._read_until(re.compile(rb"listening on [^\n]*\n"), "it should listen")

    def counts(self) -> tuple[int, int]:
        """Packets written so far, and packets the socket received so far.

        Raises:
            CaptureError: Packets were dropped, or tcpdump does not answer.
        """
        self._process.send_signal(signal.SIGUSR1)
        counts = self._read_until(_COUNTS, "it should print its counts")
        written, received, dropped = (int(n) for n in counts.groups())
        if dropped:
            raise CaptureError(
                f"tcpdump on {self.interface} lost {dropped} of {received} packets",
                "the capture proves nothing; capture fewer bytes or send fewer packets",
            )
        return written, received

    def stop(self) -> None:
        """End it; `reap` later, as it takes an RCU grace period to close its socket."""
        if self._process.poll() is None:
            self._process.kill()

    def reap(self) -> None:
        """Wait for its end.

        Raises:
            CaptureError: It does not end, although it was killed.
        """
        try:
            self._process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            raise CaptureError(
                f"tcpdump on {self.interface} (pid {self._process.pid}) does not end",
                "look at the kernel's log",
            ) from None
        if self._process.stderr is not None:
            self._process.stderr.close()


def prove_complete(pair: Sequence[Tcpdump]) -> list[int]:
    """How many packets each file of an interface holds, once that is all there were.

    Call it when the traffic has ended.

    Args:
        pair: The two tcpdumps of one interface.

    Raises:
        CaptureError: Packets were dropped, or the counts do not meet within a minute.
    """
    end = time.monotonic() + _DEADLINE
    while True:
        counts = [dump.counts() for dump in pair]
        written = [wrote for wrote, _ in counts]
        if all(received == sum(written) for _, received in counts):
            return written
        if time.monotonic() > end:
            received = [count for _, count in counts]
            raise CaptureError(
                f"tcpdump on {pair[0].interface} wrote {sum(written)} of {max(received)} packets",
                "tcpdump is at fault, or the disk"
                if len(set(received)) == 1
                else "traffic began before the capture did, or still goes on: let it begin inside"
                " `with testbed.capture()`, and end there",
            )
