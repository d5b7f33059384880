# SPDX-License-Identifier: Apache-2.0
"""Runs of pytest in a child that stop at a moment, to be killed, interrupted, or let go on."""

from __future__ import annotations

import os
import signal
import uuid
from dataclasses import dataclass

import pytest

from tests.support.host_state import marked, namespaces_of, program_exists, programs_of
from tests.support.run_cli import MARK, end, pytest_of, start

TEST = """
import pytest

@pytest.mark.datapaths("bpf", "legacy")
def test_it(two_node, datapath):
    with two_node.capture():
        two_node.pod1.ping(two_node.pod2, 10)
        two_node.pod1.stream(two_node.pod2, 100_000)
"""
MEASURING = """
from harness.topology import Family
from harness.traffic.iperf import run_stream

def test_it(two_node):
    ends = two_node.pod1.host, two_node.pod2.host
    run_stream(*(end.ns for end in ends), Family.ipv4, tuple(end.addresses.ipv4 for end in ends))
"""
#: Stops where HOSTROUTE_MOMENT says, as in `module:Class.function`, until it is told to go on.
STOPPER = """
import importlib, os
from harness.plumbing.signals import interruptible

def pytest_configure():
    moment = os.environ.get("HOSTROUTE_MOMENT")
    if moment:
        stop_at(moment)
    if os.environ.get("HOSTROUTE_UNBOUND"):
        leave_children_behind()

def stop_at(moment):
    module, path = moment.split(":")
    owner = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, name)

    def stopping(*arguments, **options):
        setattr(owner, name, original)
        os.write(int(os.environ["HOSTROUTE_REACHED"]), b"!")
        with interruptible():
            os.read(int(os.environ["HOSTROUTE_GO_ON"]), 1)
        return original(*arguments, **options)

    setattr(owner, name, stopping)

def leave_children_behind():
    import subprocess
    import harness.watch.capture.tcpdump as tcpdump

    tcpdump.spawn_tool = lambda argv, **popen: subprocess.Popen(argv, **popen)
"""
#: The command of harness/plumbing/pid_namespace.py's first process.
FIRST = "cat"


@dataclass(frozen=True)
class Moment:
    """Where a run is stopped.

    Attributes:
        function: What is about to be called.
        namespaces: Whether there are namespaces by then.
        programs: Whether there are programs by then.
        children: A word in the command of each child there is by then; empty: there is none.
        datapath: The datapath of the test.
        test: The test's module.
        options: More of pytest's.
    """

    function: str
    namespaces: bool = True
    programs: bool = True
    children: str = "tcpdump"
    datapath: str = "bpf"
    test: str = TEST
    options: tuple[str, ...] = ()


MOMENTS = {
    "building": Moment("harness.topology.hosts:Host.add_address", True, False, ""),
    "compiling": Moment("harness.bpf.pool:Compiled", True, False, ""),
    "attaching": Moment("harness.attach.clsact:attach", True, True, ""),
    # So many take a second to load: each is at work still.
    "loading rules": Moment(
        "harness.datapath.legacy:InstalledLegacy.await_ready", True, False, "tables-restore",
        datapath="legacy", options=("--hr-legacy-services", "5000"),
    ),
    "starting captures": Moment("harness.watch.capture.tcpdump:Tcpdump.await_ready"),
    "pinging": Moment("harness.testbed.actor:ping"),
    "streaming": Moment("harness.traffic.stream:_transfer"),
    "measuring": Moment(
        "harness.traffic.iperf:Iperf.run", children="worker_jobs", test=MEASURING
    ),
    "proving captures": Moment("harness.watch.capture.session:prove_complete"),
    "tearing down": Moment("harness.testbed.testbed:Testbed.close", children=""),
}  # fmt: skip


class Run:
    """A child that runs TEST, stopped at a moment.

    Attributes:
        mark: What its processes bear in their environment.
        namespaces: Those that it held when it stopped.
        programs: Ids of those that it held when it stopped.
        processes: Pid and command of it and its children when it stopped.
    """

    def __init__(self, moment, directory, test, **environment):
        self.mark = uuid.uuid4().hex
        (directory / "stopper.py").write_text(STOPPER, encoding="ascii")
        (directory / "test_child.py").write_text(test, encoding="ascii")
        reached, says = os.pipe()
        hears, go_on = os.pipe()
        self.child = start(
            pytest_of("-q", "-p", "pytest_hostroute", "-p", "stopper",
                      "--hr-datapath", moment.datapath, *moment.options,
                      str(directory / "test_child.py"), rootdir=directory),
            {MARK: self.mark, "PYTHONPATH": str(directory), "TMPDIR": str(directory),
             "HOSTROUTE_MOMENT": moment.function, "HOSTROUTE_REACHED": str(says),
             "HOSTROUTE_GO_ON": str(hears), **environment},
            pass_fds=(says, hears), start_new_session=True,
        )  # fmt: skip
        os.close(says)
        os.close(hears)
        self._go_on = go_on
        with os.fdopen(reached, "rb") as pipe:
            if not pipe.read(1):  # it ended without having come there
                pytest.fail(self._end().text, pytrace=False)
        self.namespaces = namespaces_of(self.child.pid)
        self.programs = programs_of(self.child.pid)
        self.processes = marked(self.mark)

    def kill(self):
        """SIGKILL, to pytest alone: its children must notice by themselves."""
        os.kill(self.child.pid, signal.SIGKILL)
        return self._end()

    def interrupt(self):
        """Ctrl-C: SIGINT to the whole process group."""
        os.killpg(self.child.pid, signal.SIGINT)
        return self._end()

    def go_on(self):
        """Let it go on to its end."""
        os.write(self._go_on, b"!")
        return self._end()

    def _end(self):
        ended = end(self.child)
        os.close(self._go_on)
        return ended

    def close(self):
        """End it if the test has not."""
        if self.child.poll() is None:
            self.kill()

    def remains(self):
        """What is left of it."""
        programs = {identity for identity in self.programs if program_exists(identity)}
        return marked(self.mark) or programs
