# SPDX-License-Identifier: Apache-2.0
"""What the machine must have, asked in the order in which one misses it."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from harness import __version__
from harness import datapath as datapaths
from harness.bpf.bcc_import import bcc
from harness.bpf.headers import kernel_source
from harness.datapath import NodeSettings, decision_on, running_kernel
from harness.datapath.features import HELPERS
from harness.plumbing.errors import KernelError, MissingToolError, PrivilegeError
from harness.plumbing.netns import NetNS
from harness.plumbing.process import TOOLS, find_tool
from harness.topology import Network, Topology

#: Capability → its number (uapi/linux/capability.h), and what takes it. README lists the names.
CAPABILITIES: dict[str, tuple[int, str]] = {
    "NET_ADMIN": (12, "devices, routes and programs on them"),
    "NET_RAW": (13, "captures and crafted frames"),
    "SYS_ADMIN": (21, "namespaces and BPF"),
}
#: What a run of tests needs on top. As root, tcpdump always sets its groups: Debian builds it to
#: drop root, and `-Z root` still calls initgroups(3). With kernel.dmesg_restrict = 1, as in
#: Debian, the kernel's log takes SYSLOG.
RUN_CAPABILITIES = CAPABILITIES | {
    "SETGID": (6, "tcpdump, which sets its groups"),
    "SYSLOG": (34, "the kernel's log, HR-44"),
}
#: What every run opens → what to do where it is not there.
_SYSTEM_FILES = {
    "/proc/self/ns/net": "mount /proc: `mount -t proc proc /proc`",
    "/sys/devices/system/cpu/possible": "mount /sys: `mount -t sysfs sysfs /sys`",
    "/dev/null": "give the container or chroot its /dev: `mount -t devtmpfs dev /dev`",
}
#: A testbed of the usual size with captures, tools and programs holds some hundred at once.
_OPEN_FILES = 256


def check_privileges(needed: Mapping[str, tuple[int, str]] = CAPABILITIES) -> None:
    """Root, with the capabilities that are needed.

    Args:
        needed: `CAPABILITIES` to ask the kernel, `RUN_CAPABILITIES` to run tests.

    Raises:
        PrivilegeError: What is missing.
        MissingToolError: /proc, /sys or /dev is.
    """
    _check_filesystems()
    if os.geteuid() != 0:
        raise PrivilegeError(
            f"not root (uid {os.geteuid()})", "network namespaces and BPF need it: use sudo"
        )
    with open("/proc/self/status", encoding="ascii") as status:
        held = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))
    missing = {name: why for name, (bit, why) in needed.items() if not held >> bit & 1}
    if missing:
        listed = ", ".join(f"{name} ({why})" for name, why in missing.items())
        add = " ".join(f"--cap-add {name}" for name in missing)
        raise PrivilegeError(
            f"missing capabilities: {listed}", f"run the container with {add}, or --privileged"
        )


def lift_open_files() -> None:
    """Every namespace is held by a descriptor: let this process have as many as it may.

    Raises:
        PrivilegeError: It may have too few for a testbed.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < _OPEN_FILES:
        raise PrivilegeError(
            f"only {hard} files may be open at once, a testbed takes up to {_OPEN_FILES}",
            f"raise the hard limit: `ulimit -Hn {_OPEN_FILES}` or more",
        )


def _check_filesystems() -> None:
    """What the system's own directories must have; without it, other things fail in other words."""
    for path, todo in _SYSTEM_FILES.items():
        if not Path(path).exists():
            raise MissingToolError(f"{path} is missing", todo)


def check_machine() -> None:
    """Everything a testbed needs.

    Raises:
        HarnessError: The first thing that is missing, and what to do.
    """
    check_privileges(RUN_CAPABILITIES)
    lift_open_files()
    NetNS("a first try").close()
    for tool in TOOLS:
        find_tool(tool)
    bcc()
    kernel_source()
    running_kernel(HELPERS)
    try:
        with Network(Topology(pods_per_node=1)) as network:
            check_clsact(network)
    except NetlinkError as error:
        raise KernelError(
            f"the kernel makes no testbed ({error})", "are veth and bridge there? see its log"
        ) from None
    except FileNotFoundError as error:
        raise KernelError(
            f"{error.filename} is missing", "is IPv6 switched off? every testbed has both families"
        ) from None
    except OSError as error:
        raise PrivilegeError(
            f"{error.filename or 'a namespace'} cannot be set up ({error.strerror})",
            "run the container with --privileged",
        ) from None


def check_clsact(network: Network) -> None:
    """The qdisc every program hangs on.

    Raises:
        KernelError: The kernel has none.
    """
    node = network.nodes[0]
    try:
        node.ns.netlink.tc("add", "clsact", node.ifindex(node.pods[0].lxc))
    except NetlinkError as error:
        raise KernelError(
            f"the kernel has no clsact qdisc ({error})", "enable CONFIG_NET_SCH_INGRESS"
        ) from None


def describe_machine() -> str:
    """Version of the harness, the kernel, the CPUs."""
    return (
        f"hostroute {__version__}, kernel {platform.release()}, {os.cpu_count()} CPUs,"
        f" Python {sys.version.split()[0]}"
    )


def host_routing_status(settings: NodeSettings | None = None) -> list[str]:
    """`bpf: Host Routing: BPF`, a line for each datapath that bypasses the stack.

    Raises:
        PrivilegeError: The kernel lets us ask nothing.
        ClaimError: A datapath has no claims.
    """
    check_privileges()
    found = {name: datapaths.find(name) for name in datapaths.DATAPATHS.loadable()}
    return [
        f"{name}: {decision_on(datapath, settings or NodeSettings())}"
        for name, datapath in found.items()
        if datapath.claims.bypasses_stack
    ]
