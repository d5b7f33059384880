# SPDX-License-Identifier: Apache-2.0
"""What other programs and the kernel print."""

import json
import os
import threading
import time

import pytest

from harness.datapath import Counters
from harness.plumbing.errors import CaptureError, MissingToolError, PrivilegeError
from harness.watch.capture import tcpdump
from harness.watch.evidence import KernelLog, kernel_log, netfilter
from harness.watch.evidence.kernel_log import find_splats
from harness.watch.evidence.links import parse_dev
from harness.watch.evidence.snmp import parse_snmp, parse_snmp6

SNMP = """\
Ip: Forwarding DefaultTTL InReceives ForwDatagrams
Ip: 1 64 12 7
IcmpMsg: InType0 OutType8
IcmpMsg: 3 3
"""


def test_snmp():
    assert parse_snmp(SNMP) == {
        "IpForwarding": 1, "IpDefaultTTL": 64, "IpInReceives": 12, "IpForwDatagrams": 7,
        "IcmpMsgInType0": 3, "IcmpMsgOutType8": 3,
    }  # fmt: skip
    assert parse_snmp("") == {}
    assert parse_snmp("Tcp: MaxConn\nTcp: -1\n") == {"TcpMaxConn": -1}


@pytest.mark.parametrize(
    "text",
    ["Ip: A B\nTcp: 1 2\n", "Ip: A B\nIp: 1\n", "Ip: A\n", "Ip: A\nIp: x\n"],
    ids=["another group", "a value short", "no values", "no number"],
)
def test_snmp_that_cannot_be_read(text):
    with pytest.raises(ValueError, match=r"."):
        parse_snmp(text)


def test_snmp6():
    text = "Ip6InReceives                   \t5\nIp6OutForwDatagrams             \t0\n\n"
    assert parse_snmp6(text) == {"Ip6InReceives": 5, "Ip6OutForwDatagrams": 0}


def test_nft_counters():
    text = json.dumps(
        {
            "nftables": [
                {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
                {"counter": {"family": "inet", "name": "forward", "table": "t", "handle": 3,
                             "packets": 2, "bytes": 168}},
                {"counter": {"family": "inet", "name": "prerouting", "table": "t", "handle": 2,
                             "packets": 0, "bytes": 0}},
                {"counter": {"family": "inet", "name": "postrouting", "table": "t", "handle": 4,
                             "packets": 1, "bytes": 84}},
            ]
        }
    )  # fmt: skip
    assert netfilter.parse_counters(text) == {"forward": 2, "prerouting": 0, "postrouting": 1}


def test_an_answer_without_one_of_the_counters_is_an_error():
    text = json.dumps({"nftables": [{"counter": {"name": name, "packets": 1}} for name in "pqr"]})
    with pytest.raises(MissingToolError, match="where counters were asked for"):
        netfilter.parse_counters(text)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (b"12 packets captured, 12 packets received by filter, 0 packets dropped by kernel\n",
         (12, 12, 0)),
        (b"1 packet captured, 1 packet received by filter, 0 packets dropped by kernel\n",
         (1, 1, 0)),
        (b"x\ntcpdump: 3 packets captured, 5 packets received by filter,"
         b" 2 packets dropped by kernel\n", (3, 5, 2)),
    ],
)  # fmt: skip
def test_tcpdumps_counts(text, counts):
    match = tcpdump._COUNTS.search(text)
    assert match is not None
    assert tuple(int(n) for n in match.groups()) == counts


class Dump:
    """Two tcpdumps of an interface, as `prove_complete` asks them."""

    interface = "pod1:eth0"

    def __init__(self, *counts):
        self.answers = list(counts)

    def counts(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_capture_is_complete_when_both_directions_add_up():
    assert tcpdump.prove_complete([Dump((2, 5)), Dump((3, 5))]) == [2, 3]
    late = [Dump((1, 5), (2, 5)), Dump((3, 5), (3, 5))]
    assert tcpdump.prove_complete(late) == [2, 3]


def test_a_capture_that_never_adds_up_is_an_error(monkeypatch):
    monkeypatch.setattr(tcpdump, "_DEADLINE", 0)
    with pytest.raises(CaptureError, match="pod1:eth0 wrote 4 of 5 packets: tcpdump is at fault"):
        tcpdump.prove_complete([Dump((1, 5)), Dump((3, 5))])
    # A frame came when one of the two sockets was open.
    with pytest.raises(CaptureError, match="wrote 5 of 6 packets: traffic began before"):
        tcpdump.prove_complete([Dump((2, 6)), Dump((3, 5))])


SPLATS = [
    "WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 f+0x1/0x2",
    "BUG: kernel NULL pointer dereference, address: 0",
    "kernel BUG at net/core/skbuff.c:100!",
    "Oops: 0000 [#1] PREEMPT SMP",
    "WARNING: possible recursive locking detected",
    "WARNING: suspicious RCU usage",
    "refcount_t: underflow; use-after-free.",
    "unregister_netdevice: waiting for lxc1 to become free. Usage count = 2",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "eth0: hw csum failure",
    "[   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000000",
]
#: Reports that others cause: an OOM kill, a task that hangs, memory that is short, SysRq.
STRANGERS = [
    "python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    "CPU: 0 UID: 0 PID: 4711 Comm: python3 Not tainted 6.18.44 #1 PREEMPT(none)",
    "Call Trace:",
    " <TASK>",
    "Memory cgroup out of memory: Killed process 4711 (python3) total-vm:16kB",
    "INFO: task jbd2/vda-8:87 blocked for more than 120 seconds.",
    "kworker/0:1: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL), nodemask=(null)",
    "sysrq: Show backtrace of all active CPUs",
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible!",
]


@pytest.mark.parametrize("line", SPLATS)
def test_a_splat_is_found(line):
    assert find_splats(["eth0: link up", line, "done"]) == [line]


def test_ordinary_lines_are_no_splats():
    lines = ["IPv6: ADDRCONF(NETDEV_CHANGE): lxc1: link becomes ready", "warning: deprecated", ""]
    assert find_splats([*lines, *STRANGERS]) == []


def test_a_log_that_cannot_be_read_is_an_error_of_who_asks_and_of_nobody_else(tmp_path):
    log = KernelLog(str(tmp_path / "absent"))
    log.collect()
    with pytest.raises(PrivilegeError, match=r"kernel's log cannot be read .*: run as root"):
        log.splats()
    log.close()


def test_a_log_is_read_from_now_on(tmp_path):
    path = tmp_path / "kmsg"
    path.write_text("4,1,1,-;BUG: long ago\n", encoding="ascii")
    log = KernelLog(str(path), device=None)
    try:
        with path.open("a", encoding="ascii") as file:
            file.write("4,2,2,-;WARNING: now\n SUBSYSTEM=net\n")
        assert log.splats() == ["WARNING: now"]
        assert log.splats() == ["WARNING: now"]  # what was read stays known
    finally:
        log.close()


def test_a_splat_comes_with_the_lines_that_followed_it(tmp_path):
    path = tmp_path / "kmsg"
    path.write_text("", encoding="ascii")
    log = KernelLog(str(path), device=None)
    lines = ["eth0: link up", "WARNING: CPU: 0 PID: 7 at net/core/filter.c:2449", "Call Trace:"]
    for number, line in enumerate(lines):
        with path.open("a", encoding="ascii") as file:
            file.write(f"4,{number},1,-;{line}\n")
        log.collect()
    assert log.splats() == ["\n".join(lines[1:])]
    log.close()


def test_a_log_that_is_followed_is_read_before_it_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_log, "_PERIOD", 0.001)
    path = tmp_path / "kmsg"
    path.write_text("4,1,1,-;BUG: now\n", encoding="ascii")
    log = KernelLog(str(path), device=None)
    os.lseek(log._fd, 0, os.SEEK_SET)
    deadline = time.monotonic() + 10
    before = set(threading.enumerate())  # a run's own log may be followed, too
    with log.followed():
        while os.lseek(log._fd, 0, os.SEEK_CUR) == 0:
            assert time.monotonic() < deadline
    path.write_text("", encoding="ascii")
    assert log.splats() == ["BUG: now"]
    assert set(threading.enumerate()) <= before
    log.close()


@pytest.mark.parametrize("path", ["/dev/null", "a file"])
def test_what_is_not_the_kernels_log_proves_nothing(tmp_path, path):
    """As in a container that has something else at /dev/kmsg."""
    if path == "a file":
        path = tmp_path / "kmsg"
        path.write_text("4,1,1,-;an ordinary line\n", encoding="ascii")
    log = KernelLog(str(path))
    with pytest.raises(PrivilegeError, match=r"is another file, not the device 1:11"):
        log.splats()
    log.close()


def test_what_a_program_wrote_to_the_log_is_no_splat(tmp_path):
    path = tmp_path / "kmsg"
    path.write_text("", encoding="ascii")
    log = KernelLog(str(path), device=None)
    path.write_text("12,2,2,-;WARNING: says somebody in userspace\n", encoding="ascii")
    assert log.splats() == []
    log.close()


def test_counters_that_did_not_move_are_left_out():
    before = Counters({("p", "local"): 1}, {"ttl": 2}, {"success": 3})
    after = Counters({("p", "local"): 3, ("p", "drop"): 1}, {"ttl": 2}, {"success": 4})
    moved = after - before
    assert moved == Counters({("p", "local"): 2, ("p", "drop"): 1}, {}, {"success": 1})
    assert str(moved) == "p drop 1, p local 2, fib success 1"
    assert str(after - after) == "nothing counted"


DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0
eth0:1: 12345678901   7    0    2    0     0          0         1       90       3    6    4    0
"""


def test_interface_counters():
    counters = parse_dev(DEV)
    assert list(counters) == ["lo", "eth0:1"]  # an interface's name may hold a colon
    assert counters["eth0:1"] == {
        "rx_bytes": 12345678901, "rx_packets": 7, "rx_errors": 0, "rx_dropped": 2,
        "tx_bytes": 90, "tx_packets": 3, "tx_errors": 6, "tx_dropped": 4,
    }  # fmt: skip
