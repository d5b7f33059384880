# SPDX-License-Identifier: Apache-2.0
"""What a number depends on besides the datapath: machine, kernel, sysctls, offloads. Floor 7."""

from __future__ import annotations

import os
import platform
import re
import sys
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path

from pyroute2.ethtool.ioctl import IoctlEthtool

from harness.topology import Host, Network

_PACKAGES = ("ebpf-hostroute", "iperf3", "numpy", "pyroute2", "pytest", "pytest-benchmark", "scipy")
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
# Under /proc/sys/net, as each namespace has its own.
_SYSCTLS = (
    "core/rmem_max", "core/wmem_max", "ipv4/ip_forward", "ipv4/conf/all/rp_filter",
    "ipv4/tcp_congestion_control", "ipv4/tcp_rmem", "ipv4/tcp_wmem", "ipv4/tcp_timestamps",
    "ipv6/conf/all/forwarding", "netfilter/nf_conntrack_max", "netfilter/nf_conntrack_buckets",
)  # fmt: skip
# Those that only the machine's own namespace has.
_MACHINE_SYSCTLS = (
    "core/bpf_jit_enable", "core/bpf_jit_harden", "core/default_qdisc", "core/netdev_budget",
    "core/netdev_max_backlog",
)  # fmt: skip


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8").strip()
    return ""


def machine_facts() -> dict[str, object]:
    """Kernel, CPUs and versions, as JSON takes them; an unknown is an empty text."""
    cpuinfo = _text("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.M)
    packages = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
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
        "sysctls": _sysctls(_MACHINE_SYSCTLS),
        "python": sys.version.split()[0],
        "packages": packages,
    }


def network_facts(network: Network) -> dict[str, object]:
    """Host → its sysctls, and its interfaces with MTU, qdisc and the offloads that are on."""
    facts: dict[str, object] = {}
    for host in network.hosts:
        with host.ns:
            sysctls = _sysctls(_SYSCTLS)
        facts[host.name] = {"sysctls": sysctls, "interfaces": _interfaces(host)}
    return facts


def _sysctls(keys: tuple[str, ...]) -> dict[str, str]:
    """Sysctl → value, as the calling thread's namespace has them; absent ones are left out."""
    found = {key.replace("/", "."): _text(f"/proc/sys/net/{key}") for key in keys}
    return {key: re.sub(r"\s+", " ", value) for key, value in found.items() if value}


def _interfaces(host: Host) -> dict[str, object]:
    links = {link.get_attr("IFLA_IFNAME"): link for link in host.ns.netlink.get_links()}
    return {
        name: {
            "mtu": links[name].get_attr("IFLA_MTU"),
            "qdisc": links[name].get_attr("IFLA_QDISC"),
            "offloads": _offloads(host, name),
        }
        for name in host.macs
    }


def _offloads(host: Host, ifname: str) -> list[str]:
    """Names of the features that are on, as `ethtool -k` has them in the kernel's spelling."""
    with host.ns, closing(IoctlEthtool(ifname)) as ethtool:
        return sorted(name for name, active, *_ in ethtool.get_features() if active)
