# SPDX-License-Identifier: Apache-2.0
"""KVM if a guest really runs under it, else emulation. Floor 7.

That /dev/kvm can be opened does not tell: inside a virtual machine it may be there, and a guest
hang in it, or fault. So a kernel is booted once, without a root, under a deadline.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness import safe_read, scratch
from harness.kernels.tools import qemu
from harness.process import spawn
from harness.signals import interruptible

_SILENCE = 5.0  # seconds; with KVM a kernel says something every tenth of one, for two in all
_TRIAL = 60.0  # seconds in all: one that repeats the same fault is never silent
_POLL = 0.05
_KVM = "/dev/kvm"
_deciding = threading.Lock()
_decided: list[Accelerator] = []


@dataclass(frozen=True)
class Accelerator:
    """How guests run.

    Attributes:
        name: `kvm` or `emulation`.
        reason: Why, in words.
    """

    name: str
    reason: str

    @property
    def fast(self) -> bool:
        """Whether it is KVM."""
        return self.name == "kvm"

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def emulation(reason: str) -> Accelerator:
    """Emulation, and why."""
    return Accelerator("emulation", reason)


def accelerator(image: Path) -> Accelerator:
    """How guests run on this machine, tried once in a process.

    Args:
        image: A kernel to try with.
    """
    with _deciding:
        if not _decided:
            _decided.append(_try(image))
        return _decided[0]


def _try(image: Path) -> Accelerator:
    try:
        os.close(os.open(_KVM, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return emulation(f"no KVM: {_KVM}: {error.strerror}")
    directory = scratch.make("kvm")
    try:
        return _boot(image, directory / "console")
    finally:
        scratch.remove(directory)


def _boot(image: Path, console: Path) -> Accelerator:
    argv = [
        qemu(), "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-display", "none",
        "-no-reboot", "-serial", f"file:{console}", "-kernel", str(image),
        "-append", "earlyprintk=serial console=ttyS0 panic=-1",
    ]  # fmt: skip
    child = spawn(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        hung = _await_end(child, console)
    finally:
        child.kill()
        _, stderr = child.communicate()
    if hung:
        return emulation(f"KVM is there, but a guest hangs in it: {hung}")
    text = safe_read.text(console, 1 << 20, tail=True) if _size(console) else ""
    if "Kernel panic" in text:  # it came as far as it could without a root
        return Accelerator("kvm", "a kernel booted under it")
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return emulation(f"KVM is there, but no guest runs in it: {(lines or ['it ended early'])[0]}")


def _await_end(child: subprocess.Popen[bytes], console: Path) -> str:
    """Why a guest is given up; empty: it has ended."""
    began = last = time.monotonic()
    size = 0
    while child.poll() is None:
        if _size(console) != size:
            last, size = time.monotonic(), _size(console)
        if time.monotonic() - last > _SILENCE:
            return f"silent for {_SILENCE:g} s"
        if time.monotonic() - began > _TRIAL:
            return f"no end within {_TRIAL:g} s"
        with interruptible():
            time.sleep(_POLL)
    return ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
