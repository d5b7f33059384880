# SPDX-License-Identifier: Apache-2.0
"""Where a record comes from: machine, kernel, and software. Floor 6."""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import re
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

#: Set in a virtual machine that hostroute booted: `kvm`, or `emulation`.
ACCELERATOR_VARIABLE = "HOSTROUTE_ACCELERATOR"

_PACKAGES = ("ebpf-hostroute", "iperf3", "numpy", "pyroute2", "pytest", "pytest-benchmark", "scipy")
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_MACHINE_ID = "/etc/machine-id"
# Those that only the machine's own namespace has.
_SYSCTLS = (
    "core/bpf_jit_enable", "core/bpf_jit_harden", "core/default_qdisc", "core/netdev_budget",
    "core/netdev_max_backlog",
)  # fmt: skip


def machine_facts() -> dict[str, object]:
    """Kernel, CPUs and versions, as the schema's `machine` has them."""
    cpuinfo = _text("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.M)
    packages = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    accelerator = os.environ.get(ACCELERATOR_VARIABLE, "")
    return {
        "kernel": platform.release(),
        "kernel_version": platform.version(),
        "cmdline": _text("/proc/cmdline"),
        "architecture": platform.machine(),
        "cpu_model": model[1] if model else "",
        "cpus": os.cpu_count(),
        "cpus_allowed": sorted(os.sched_getaffinity(0)),
        "virtualised": bool(re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.M)),
        "governor": _text(_GOVERNOR),
        "sysctls": read_sysctls(_SYSCTLS),
        "python": sys.version.split()[0],
        "packages": packages,
        "boot_id": _text(_BOOT_ID),
        "machine_id_hash": _machine_id_hash(),
        "accelerator": accelerator if accelerator in ("kvm", "emulation") else "",
    }


def read_sysctls(keys: tuple[str, ...]) -> dict[str, str]:
    """Sysctl → value, as the calling thread's namespace has them; absent ones are left out.

    Args:
        keys: Paths under /proc/sys/net.
    """
    found = {key.replace("/", "."): _text(f"/proc/sys/net/{key}") for key in keys}
    return {key: re.sub(r"\s+", " ", value) for key, value in found.items() if value}


def _machine_id_hash() -> str:
    """Keyed, as machine-id(5) asks for: the id itself is confidential."""
    identity = _text(_MACHINE_ID)
    if not identity:
        return ""
    return hmac.new(b"hostroute-record", identity.encode(), hashlib.sha256).hexdigest()[:16]


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    return ""
