# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of a run, nothing of it is left, and the machine is as it was before.

A child runs pytest on a test of its own and stops, at the moment asked for, in the function that
is about to be called: it says so on a pipe, and is then killed, interrupted, or let go.
"""

import json
import os
import signal
import sys
import threading
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from harness.plumbing import pid_namespace
from harness.plumbing.netns import NetNS
from tests.support.host_state import (
    await_,
    await_same,
    marked,
    namespaces_of,
    program_exists,
    settled,
    state,
)
from tests.support.run_cli import MARK, end, start
from tests.support.stopped_run import FIRST, MOMENTS, Run

pytestmark = pytest.mark.usefixtures("hr_machine")


@pytest.fixture
def stopped(tmp_path):
    """A function that starts a run and returns when it has stopped: `stopped(moment)`."""
    runs = []

    def run(name, test="", **environment):
        runs.append(Run(MOMENTS[name], tmp_path, test or MOMENTS[name].test, **environment))
        return runs[-1]

    yield run
    for each in runs:
        each.close()


@pytest.fixture
def unchanged():
    """Fails the test when the machine is not as it was before it; says what has changed."""
    mark = uuid.uuid4().hex
    before = settled(mark)
    yield
    assert await_same(before, mark) == {}


def tools(run):
    """The commands of its children that live; the first process of their PID namespace is none."""
    commands = marked(run.mark)
    return [commands[pid] for pid in commands if pid != run.child.pid and commands[pid] != FIRST]


def test_a_tool_that_ran_inside_keeps_no_namespace_alive():
    found = []

    def work():  # its tools have a PID namespace of their own, whose first process outlives them
        ns = NetNS("x")
        ns.run(["true"])
        home = Path("/proc/thread-self/ns/net").stat().st_ino
        first = Path(f"/proc/{pid_namespace.first_process()}/ns/net").stat().st_ino
        found.extend([first == home, first == ns.inum])
        ns.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True, False]


@pytest.mark.parametrize("name", MOMENTS)
def test_nothing_is_left_of_a_killed_run(name, stopped, unchanged):
    moment, run = MOMENTS[name], stopped(name)
    assert bool(run.namespaces) == moment.namespaces
    assert bool(run.programs) == moment.programs
    children = [run.processes[pid] for pid in run.processes if pid != run.child.pid]
    children = [command for command in children if command != FIRST]
    if moment.children:
        assert children
        assert all(moment.children in command for command in children), children
    else:  # those of a capture that has ended were killed, but may not have had a CPU to die on
        assert await_(lambda: not tools(run)), children
    assert run.kill().code == -signal.SIGKILL
    assert await_(lambda: not run.remains()), run.remains()


def test_what_a_killed_run_leaves_would_be_noticed(stopped):
    """The control: tcpdumps that are not bound to their parent's life survive it."""
    run = stopped("pinging", HOSTROUTE_UNBOUND="1")
    try:
        run.kill()
        left = run.remains()
        unbound = [pid for pid, command in left.items() if command.startswith("tcpdump")]
        assert unbound
        assert namespaces_of(unbound[0]) & run.namespaces
        assert all(program_exists(identity) for identity in run.programs)
    finally:
        for pid in marked(run.mark):
            with suppress(ProcessLookupError):  # what is bound may just have noticed
                os.kill(pid, signal.SIGKILL)
    assert await_(lambda: not run.remains())


def test_the_next_run_reaps_a_killed_ones_directories(tmp_path, stopped):
    stopped("pinging").kill()
    left = set(tmp_path.glob("hostroute-scratch-*"))
    assert len(left) == 2  # its captures, its headers
    run = stopped("tearing down")
    assert not left & set(tmp_path.glob("hostroute-scratch-*"))
    run.go_on()
    assert not set(tmp_path.glob("hostroute-scratch-*"))


@pytest.mark.parametrize("name", ["loading rules", "starting captures", "pinging"])
def test_nothing_is_left_of_an_interrupted_run(name, tmp_path, stopped, unchanged):
    run = stopped(name)
    ended = run.interrupt()
    assert ended.code == pytest.ExitCode.INTERRUPTED
    assert "INTERNALERROR" not in ended.text
    assert await_(lambda: not run.remains()), run.remains()
    assert not set(tmp_path.glob("hostroute-scratch-*"))


ENDING = """
def test_it(two_node):
    with two_node.capture():
        two_node.pod1.ping(two_node.pod2)
        %s
"""
ENDINGS = {
    "passed": ("pass", 0),
    "failed": ("assert False", 1),
    "crashed": ("raise RuntimeError('in the middle of a capture')", 1),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_nothing_is_left_of_a_run_that(name, tmp_path, stopped, unchanged):
    statement, code = ENDINGS[name]
    run = stopped("tearing down", ENDING % statement)
    ended = run.go_on()
    assert ended.code == code, ended.text
    assert await_(lambda: not run.remains()), run.remains()
    assert not set(tmp_path.glob("hostroute-scratch-*"))


BROKEN = """
import dataclasses
from harness.bpf.source import Patch
from harness.datapath import DATAPATHS
from harness.topology import Family

def test_it(build_testbed):
    patch = Patch("from_container.c", "int from_container(", "no_such_name from_container(")
    broken = dataclasses.replace(DATAPATHS["bpf"], patches=(patch,))
    build_testbed("two_node", broken, Family.ipv4)
"""


def test_nothing_is_left_of_a_failed_build(stopped, unchanged):
    run = stopped("compiling", BROKEN)
    ended = run.go_on()
    assert ended.code == 1
    assert "no_such_name" in ended.text
    assert "Traceback" not in ended.text
    assert await_(lambda: not run.remains()), run.remains()


#: Makes one change after the other, in namespaces of its own, and says which kinds were noticed.
CONTROL = """
import ctypes, json, os, struct, subprocess
from pathlib import Path
from pyroute2 import IPRoute
from harness.bpf import syscall
from tests.support.host_state import difference, state

def sh(command):
    subprocess.run(["sh", "-ec", command], check=True)

def pin(fd, name):
    path = ctypes.create_string_buffer(b"/sys/fs/bpf/" + name)
    syscall._bpf(6, struct.pack("=QII", ctypes.addressof(path), fd, 0))  # BPF_OBJ_PIN
    os.close(fd)

def load(kind):
    code = syscall.instruction(syscall.MOV64_IMM) + syscall.instruction(syscall.EXIT)
    return syscall.load_program(kind, code)

def attach_a_program():
    netlink.tc("add-filter", "bpf", 1, ":1", fd=load(syscall.PROG_TYPE_SCHED_CLS), name="left",
               parent=0xfffffff2, prio=1, direct_action=True)

def pin_a_link():
    fd = load(syscall.PROG_TYPE_RAW_TRACEPOINT)
    pin(syscall.raw_tracepoint_open("sys_exit", fd), b"link")
    os.close(fd)

sh("mount -t bpf bpf /sys/fs/bpf && mkdir -p /run/netns && mount -t tmpfs none /run/netns")
netlink = IPRoute(groups=0)
netlink.link("set", index=1, state="up")
CHANGES = {
    "links": lambda: netlink.link("add", kind="veth", ifname="left", peer="behind"),
    "addresses": lambda: netlink.addr("add", index=1, address="10.9.9.9", prefixlen=32),
    "routes": lambda: netlink.route("add", dst="10.8.0.0/16", oif=1),
    "ip rules": lambda: netlink.rule("add", table=99, priority=99),
    "qdiscs": lambda: netlink.tc("add", "clsact", 1),
    "filters": attach_a_program,
    "rules": lambda: sh("nft add table inet left"),
    "sysctls": lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"),
    "named namespaces": lambda: sh(
        "touch /run/netns/left && mount --bind /proc/self/ns/net /run/netns/left"),
    "pins": lambda: pin(load(syscall.PROG_TYPE_SCHED_CLS), b"program"),
    "programs": lambda: pin(load(syscall.PROG_TYPE_SCHED_CLS), b"another"),
    "bpf links": pin_a_link,
    "processes": lambda: subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", "cat"], stdin=subprocess.PIPE),
}
mark, noticed = os.environ["HOSTROUTE_TEST_MARK"], {}
for name, change in CHANGES.items():
    before = state(mark)
    change()
    noticed[name] = sorted(difference(before, state(mark)))
print(json.dumps(noticed))
"""


def test_a_change_of_each_kind_would_be_noticed():
    """The control of every comparison above: what was changed is what the comparison names."""
    private = ("unshare", "--mount", "--net", "--propagation", "private")
    ended = end(start((*private, sys.executable, "-c", CONTROL), {MARK: uuid.uuid4().hex}))
    assert ended.code == 0, ended.text
    noticed = json.loads(ended.out)
    missed = [kind for kind, kinds in noticed.items() if kind not in kinds]
    assert missed == []
    assert set(noticed) == set(state("none"))
