# SPDX-License-Identifier: Apache-2.0
"""Runs a guest to its end, whatever that is, and says what it was. Floor 7."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness import safe_read
from harness.evidence.kernel_log import find_splats
from harness.kernels.guest import Prepared
from harness.process import spawn
from harness.signals import interruptible

_POLL = 0.2  # seconds
_TAIL = 15  # lines of a console that are shown
_GROWING = ("console.log", "progress", "output.txt")
#: Stage that inside.sh reaches → the phase that ends with it.
_PHASES = {"up": "start", "root": "root", "inside": "modules", "ended": "run",
           "written": "finish", "over": "off"}  # fmt: skip
_PANIC_LINES = 40
#: Bytes of a guest's log that are read, and of its stages; characters of a line.
_MANY, _FEW, _LONGEST = 16 << 20, 1 << 16, 1000
_PANIC = re.compile(r"Kernel panic - not syncing|Oops[:-]|BUG: |general protection fault")
#: Kernel messages of level 4 and below reach the console; virtme-ng's own chatter does too.
_STAMP = re.compile(r"^\[ *\d+\.\d+\] ")


@dataclass(frozen=True)
class Limits:
    """When a guest is given up, seconds.

    Attributes:
        boot: Until its root is there.
        silence: Without a sign of progress: no stage, no output, no console.
        whole: In all.
    """

    boot: float
    silence: float
    whole: float


#: Emulation takes 10 to 20 times as long as KVM; a machine shared with others, twice that.
LIMITS = {"kvm": Limits(60, 120, 1800), "emulation": Limits(180, 300, 5400)}


@dataclass(frozen=True)
class Ended:
    """How a guest ended.

    Attributes:
        status: The exit status of its command; None: it did not get to the end of it.
        trouble: What went wrong with the guest itself; empty: nothing.
        lines: Lines of the kernel's log or the console that show it.
        seconds: Phase → seconds it took, in order: `start` (QEMU until the init's script), `root`,
            `modules`, `run` (the command), `finish` (results), `off`.
    """

    status: int | None
    trouble: str
    lines: tuple[str, ...]
    seconds: dict[str, float]


class Watcher:
    """Runs guests; `stop` ends those that run, from any thread."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End every guest; each then says that it was stopped."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def run(self, guest: Prepared, limits: Limits, interactive: bool = False) -> Ended:
        """Start a guest and wait for its end; QEMU dies with the calling thread.

        Args:
            guest: What `prepare` made.
            limits: When it is given up.
            interactive: Whether it has the terminal.
        """
        with open(guest.share / "qemu.log", "xb") as log:
            child = spawn(guest.argv, **({"stdin": None} if interactive
                                         else {"stdout": log, "stderr": log}))  # fmt: skip
        try:
            trouble, sign = "", _Sign(guest.share)
            while not trouble and not _await(child, self._stopped):
                trouble = sign.overdue(limits, interactive)
            if self.stopped:
                trouble = "stopped"
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
        return _judge(guest.share, trouble, child.returncode, sign.seconds())


def _await(child: subprocess.Popen[bytes], stopped: threading.Event) -> bool:
    """Wait a moment; whether it is over."""
    with interruptible():
        return stopped.wait(_POLL) or child.poll() is not None


class _Sign:
    """Whether a guest still gets on: what it writes grows; and when it reached its stages.

    By the host's clock: a guest's own may count instructions, and leap while it is idle.
    """

    def __init__(self, share: Path) -> None:
        self._share = share
        self._begun = self._last = time.monotonic()
        self._sizes: tuple[int, ...] = ()
        self._reached: dict[str, float] = {}

    def overdue(self, limits: Limits, interactive: bool) -> str:
        """Why the guest is to be given up; empty: it is not."""
        now = self._look()
        sizes = tuple(_size(self._share / name) for name in _GROWING)
        if sizes != self._sizes:
            self._sizes, self._last = sizes, now
        if "root" not in self._reached and now - self._begun > limits.boot:
            return f"hung: no root within {limits.boot:g} s"
        if interactive:
            return ""
        if now - self._last > limits.silence:
            return f"hung: no sign of it for {limits.silence:g} s"
        if now - self._begun > limits.whole:
            return f"hung: not at its end within {limits.whole:g} s"
        return ""

    def _look(self) -> float:
        now = time.monotonic()
        for stage in _stages(self._share):
            self._reached.setdefault(stage, now)
        return now

    def seconds(self) -> dict[str, float]:
        """Phase → seconds, to the present, which is the guest's end."""
        over = self._look()
        times = {**self._reached, "over": over}
        found, before = {}, self._begun
        for stage, phase in _PHASES.items():
            if stage in times:
                found[phase] = round(times[stage] - before, 1)
                before = times[stage]
        return found


def _judge(share: Path, trouble: str, code: int, seconds: dict[str, float]) -> Ended:
    """What became of a guest, by the files it left."""
    console = _lines(share / "console.log")
    splats = find_splats(_lines(share / "kernel.log") or console)
    status = _status(share)
    own = " ".join(_lines(share / "trouble"))
    panic = [line for line in console if _PANIC.search(line)]
    lines: tuple[str, ...] = _tail(console)
    if trouble == "stopped":
        lines = ()
    elif status is None and panic:
        trouble = f"panicked: {_plain(panic[0])}"
        lines = tuple(console[console.index(panic[0]) :][:_PANIC_LINES])
    elif status is None and not trouble:
        trouble = own or _without_status(share, code, console)
    elif not trouble and splats:
        trouble, lines = f"the kernel complained: {_plain(splats[0])}", tuple(splats)
    elif not trouble and os.path.lexists(share / "full"):
        trouble = "ran out of room for what it writes"
    return Ended(status, trouble, lines if trouble else (), seconds)


def _without_status(share: Path, code: int, console: list[str]) -> str:
    """Why a guest that ended by itself left no exit status."""
    said = [line for line in _lines(share / "qemu.log") if line.strip()]
    if "ended" in _stages(share):
        return "its results could not be written: is the disk full?"
    if said and not console:
        return f"QEMU did not start: {said[-1]}"
    if code < 0:
        return f"QEMU was killed by signal {-code}: is there memory enough?"
    return "it ended before its command did"


def _status(share: Path) -> int | None:
    text = "\n".join(_lines(share / "status", _FEW))
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else None


def _stages(share: Path) -> list[str]:
    """The stages that a guest has reached, in order."""
    said = (line.partition(" ")[2] for line in _lines(share / "progress", _FEW))
    return [stage for stage in said if stage in _PHASES]


def _lines(path: Path, limit: int = _MANY) -> list[str]:
    """The last lines of a file that a guest wrote, or has put something else in the place of."""
    try:
        lines = safe_read.text(path, limit, tail=True).splitlines()
    except OSError:
        return []
    return [line[:_LONGEST] for line in lines]


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _tail(lines: list[str]) -> tuple[str, ...]:
    return tuple(line for line in lines if line.strip())[-_TAIL:]


def _plain(line: str) -> str:
    return _STAMP.sub("", line).strip()
