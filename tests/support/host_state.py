# SPDX-License-Identifier: Apache-2.0
"""What a run could leave behind on the machine, as sets of lines that compare with ==.

What other processes of the machine do meanwhile is kept out where it can be told apart: programs
that a living process holds are its own, and processes count when they bear the run's mark.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes import CDLL, create_string_buffer, get_errno
from pathlib import Path

from pyroute2 import IPRoute

from harness.plumbing import process
from harness.plumbing.signals import interrupt_if_due
from tests.support.run_cli import MARK

State = dict[str, set[str]]
# enum bpf_cmd, uapi/linux/bpf.h.
_PROG_GET_NEXT_ID, _PROG_GET_FD_BY_ID, _LINK_GET_NEXT_ID = 11, 13, 31
_NR_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351}[platform.machine()]
_libc = CDLL(None, use_errno=True)
_COUNTERS = re.compile(r"\[\d+:\d+\]")
#: They count, or are made anew for each reader.
_VOLATILE = ("nf_conntrack_count", "netdev_rss_key", "tcp_fastopen_key")
#: The kernel frees namespaces, and what is attached in them, in a worker of its own, some RCU
#: grace periods after the last holder ended (cleanup_net, net/core/net_namespace.c), and tells
#: nobody when it has.
_DEADLINE = 20.0  # seconds
_PROC = Path("/proc")
#: /proc of the PID namespace outside, where there is one and it is shown to us (`.ci/bare-root`):
#: programs that a process there holds are not left over by ours.
_PROCS = [_PROC, *(Path(path) for path in [os.environ.get("HOSTROUTE_OUTER_PROC")] if path)]


def _next_ids(command: int) -> Iterator[int]:
    """Every id of a kind of BPF object."""
    current = 0
    while True:
        attr = create_string_buffer(struct.pack("=III", current, 0, 0), 12)
        if _libc.syscall(_NR_BPF, command, attr, len(attr)) < 0:
            if get_errno() == errno.ENOENT:
                return
            raise OSError(get_errno(), os.strerror(get_errno()))
        current = struct.unpack_from("=4xI", attr.raw)[0]
        yield current


def program_exists(identity: int) -> bool:
    """Whether the kernel still has the program of that id."""
    attr = create_string_buffer(struct.pack("=III", identity, 0, 0), 12)
    fd = _libc.syscall(_NR_BPF, _PROG_GET_FD_BY_ID, attr, len(attr))
    if fd >= 0:
        os.close(fd)
    return bool(fd >= 0)


def _processes(proc: Path = _PROC) -> list[Path]:
    return [path for path in proc.iterdir() if path.name.isdigit()]


def _descriptors(owner: Path) -> Iterator[tuple[str, str]]:
    """Number and target of each of a process's descriptors; nothing when it has ended."""
    with suppress(OSError):
        for path in (owner / "fd").iterdir():
            with suppress(OSError):
                yield path.name, str(path.readlink())


def _bpf_ids_of(owner: Path, key: str) -> set[int]:
    """Ids of the BPF objects that a process holds by a descriptor; key: `prog_id`, `link_id`."""
    found = set()
    for name, target in _descriptors(owner):
        if target.startswith("anon_inode:bpf"):
            with suppress(OSError):
                text = (owner / "fdinfo" / name).read_text(encoding="ascii")
                found |= {int(n) for n in re.findall(rf"^{key}:\s*(\d+)", text, re.M)}
    return found


def programs_of(pid: int) -> set[int]:
    """Ids of the programs that a process holds by a descriptor."""
    return _bpf_ids_of(_PROC / str(pid), "prog_id")


def namespaces_of(pid: int) -> set[str]:
    """The network namespaces that a process lives in or holds by a descriptor, but the caller's."""
    found = {target for _, target in _descriptors(_PROC / str(pid))}
    with suppress(OSError):
        found.add(str(Path(f"/proc/{pid}/ns/net").readlink()))
    own = str(Path("/proc/thread-self/ns/net").readlink())
    return {link for link in found if link.startswith("net:[") and link != own}


def marked(mark: str) -> dict[int, str]:
    """Pid → command of every living process whose environment bears a run's mark."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for path in _processes():
        with suppress(OSError):
            if wanted in (path / "environ").read_bytes().split(b"\0"):
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(path.name)] = command.decode(errors="replace").strip()
    return found


def _unheld(command: int, key: str) -> set[str]:
    """BPF objects that no process holds: attached, pinned, or leaked."""
    before = set(_next_ids(command))
    processes = [path for proc in _PROCS for path in _processes(proc)]
    held = set().union(*(_bpf_ids_of(path, key) for path in processes))
    # Only what is there both before and after the look at the processes is judged by it.
    return {str(identity) for identity in (before & set(_next_ids(command))) - held}


def _mounts() -> list[list[str]]:
    with open("/proc/thread-self/mountinfo", encoding="utf-8") as file:
        return [line.split() for line in file]


def _tree(root: str) -> set[str]:
    return {str(path) for path in Path(root).rglob("*")} if Path(root).is_dir() else set()


def _pins() -> set[str]:
    return set().union(*(_tree(m[4]) for m in _mounts() if m[m.index("-") + 1] == "bpf"))


def _names() -> set[str]:
    held = {m[4] for m in _mounts() if m[m.index("-") + 1] == "nsfs"}
    return _tree("/run/netns") | held


def _sysctls() -> set[str]:
    found = set()
    for path in Path("/proc/sys/net").rglob("*"):
        if path.name not in _VOLATILE:
            with suppress(OSError, UnicodeDecodeError):  # write-only, or needs a capability
                if path.is_file():
                    found.add(f"{path} = {path.read_text(encoding='utf-8').strip()}")
    return found


def _rules() -> set[str]:
    text = process.run(["nft", "-s", "list", "ruleset"])
    for family in ("ip", "ip6"):
        legacy = Path(f"/proc/thread-self/net/{family}_tables_names")
        if legacy.exists():
            text += "".join(f"{family} {name}\n" for name in legacy.read_text().split())
    return set(_COUNTERS.sub("", text).splitlines())


def _netlink() -> State:
    """Links, addresses, routes, rules, qdiscs and filters of the caller's namespace."""
    with IPRoute(groups=0) as netlink:
        links = {
            link["index"]: " ".join(
                str(part) for part in (
                    link["index"], link["flags"], *(link.get_attr(f"IFLA_{key}") for key in (
                        "IFNAME", "MTU", "ADDRESS", "MASTER", "OPERSTATE", "QDISC", "GROUP",
                    )),
                )
            )
            for link in netlink.get_links()
        }  # fmt: skip
        return {
            "links": set(links.values()),
            "addresses": {
                f"{a['index']} {a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}"
                for a in netlink.get_addr()
            },
            "routes": {
                f"{r['family']} {r['table']} {r['type']} {r.get_attr('RTA_DST')}/{r['dst_len']}"
                f" via {r.get_attr('RTA_GATEWAY')} dev {r.get_attr('RTA_OIF')}"
                for r in netlink.get_routes()
                if not r["flags"] & 0x200  # RTM_F_CLONED: a cached path MTU
            },
            "ip rules": {
                f"{family} {r['action']} {r.get_attr('FRA_PRIORITY')} {r.get_attr('FRA_TABLE')}"
                for family in (2, 10)
                for r in netlink.get_rules(family=family)
            },
            "qdiscs": {
                f"{q['index']} {q['parent']} {q.get_attr('TCA_KIND')}" for q in netlink.get_qdiscs()
            },
            "filters": {
                f"{f['index']} {f['parent']} {f['info']} {f.get_attr('TCA_KIND')}"
                for index in links
                for parent in (0xFFFFFFF2, 0xFFFFFFF3)
                for f in netlink.get_filters(index=index, parent=parent)
            },
        }


def state(mark: str) -> State:
    """Everything, now."""
    return {
        **_netlink(),
        "rules": _rules(),
        "sysctls": _sysctls(),
        "named namespaces": _names(),
        "pins": _pins(),
        "programs": _unheld(_PROG_GET_NEXT_ID, "prog_id"),
        "bpf links": _unheld(_LINK_GET_NEXT_ID, "link_id"),
        "processes": {f"{pid} {command}" for pid, command in marked(mark).items()},
    }


#: Whoever else loads programs on this machine may hold one a moment later; what comes counts.
_COMING = ("programs", "bpf links")


def difference(before: State, after: State) -> dict[str, str]:
    """Kind → what went and what came."""
    return {
        kind: f"gone: {sorted(held - after[kind])}, new: {sorted(after[kind] - held)}"
        for kind, held in before.items()
        if (after[kind] - held if kind in _COMING else held != after[kind])
    }


def await_(holds: Callable[[], object], deadline: float = _DEADLINE) -> bool:
    """Ask until it holds or the deadline is over; asking is all there is, see `_DEADLINE`."""
    end = time.monotonic() + deadline
    while not holds():
        interrupt_if_due()
        if time.monotonic() > end:
            return False
    return True


def await_same(before: State, mark: str) -> dict[str, str]:
    """The difference to an earlier state once there is none, or what is left of it at the end."""
    looks = [difference(before, state(mark))]

    def same() -> bool:
        looks.append(difference(before, state(mark)))
        return not looks[-1]

    return {} if not looks[-1] or await_(same) else looks[-1]


def settled(mark: str) -> State:
    """The state once two looks in a row agree: what an earlier test left is being freed."""
    states = [state(mark)]

    def agree() -> bool:
        states.append(state(mark))
        return not difference(states[-2], states[-1])

    await_(agree)
    return states[-1]


__all__ = [
    "State", "await_", "await_same", "difference", "marked", "namespaces_of", "program_exists",
    "programs_of", "settled", "state",
]  # fmt: skip
