# SPDX-License-Identifier: Apache-2.0
"""Child processes: their ends, their errors, and that none outlives us."""

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from harness.plumbing import pid_namespace, process
from harness.plumbing.errors import CommandError, MissingToolError


def test_stdout_is_returned_and_stdin_is_given():
    assert process.run(["cat"], stdin="naïve\n") == "naïve\n"
    assert process.run(["cat"]) == ""  # no terminal, no waiting


def test_a_failure_carries_command_status_and_both_outputs():
    with pytest.raises(CommandError) as caught:
        process.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    error = caught.value
    assert (error.status, error.stdout, error.stderr) == (3, "out\n", "err\n")
    assert str(error).endswith("ended with 3: err")


def test_a_child_that_overruns_its_deadline_is_ended():
    with pytest.raises(CommandError, match=r"ended with no end within 0.05 s"):
        process.run(["cat", "/dev/zero"], timeout=0.05)


def test_an_interrupt_that_strikes_while_outputs_are_read_leaves_no_child(monkeypatch):
    def struck(*_, **__):
        monkeypatch.undo()
        raise KeyboardInterrupt

    running = process.Running([process.Job(["sleep", "60"])] * 2)
    children = [child for _, child in running._jobs]
    monkeypatch.setattr(subprocess.Popen, "_communicate", struck)
    with pytest.raises(KeyboardInterrupt), running:
        running.outputs()
    assert [child.returncode for child in children] == [-signal.SIGKILL] * 2
    assert all(child.stdout.closed and child.stderr.closed for child in children)


def test_together_all_end_and_the_first_failure_is_told():
    commands = ["echo", "1"], ["sh", "-c", "exit 2"], ["sh", "-c", "exit 3"]
    jobs = [process.Job(argv) for argv in commands]
    with pytest.raises(CommandError) as caught:
        process.run_together(jobs)
    assert caught.value.status == 2
    assert process.run_together(jobs[:1] * 2) == ["1\n", "1\n"]


@pytest.mark.parametrize(("name", "package"), process.TOOLS.items())
def test_a_missing_tool_names_its_package(name, package, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(process, "_SBIN", str(tmp_path))
    with pytest.raises(MissingToolError, match=f"{name} is not installed: .*install {package}`"):
        process.find_tool(name)


def test_sbin_is_searched_after_path(monkeypatch, tmp_path):
    tool = tmp_path / "nft"
    tool.write_text("#!/bin/sh\n", encoding="ascii")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(process, "_SBIN", str(tmp_path))
    assert process.find_tool("nft") == str(tool)


PARENT = """
import sys
from harness.plumbing.process import spawn, spawn_tool
child = {how}(["sh", "-c", "echo ready; read line"], stdin=-1, stdout=-1)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["spawn", "spawn_tool"])
def test_a_child_dies_with_a_parent_that_is_killed(how):
    program = PARENT.format(how=how)
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)  # fmt: skip
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        child = os.pidfd_open(pid)
        parent.kill()
        parent.wait()
        with os.fdopen(child):
            # A pidfd is readable when its process has ended (pidfd_open(2)).
            assert select.select([child], [], [], 10)[0]


def test_a_tool_dies_with_the_thread_that_started_it_and_the_next_has_another():
    children = []

    def work():
        children.append(process.spawn_tool(["cat"], stdin=subprocess.PIPE))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    for child in children:
        with child:
            assert child.wait(10) == -signal.SIGKILL


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces take SYS_ADMIN")


@needs_root
def test_a_tool_is_born_elsewhere_and_its_parent_stays():
    here = Path("/proc/self/ns/pid").readlink()
    with process.spawn_tool(["cat"], stdin=subprocess.PIPE) as child:
        assert Path(f"/proc/{child.pid}/ns/pid").readlink() != here
        thread = threading.Thread(target=lambda: None)  # refused to a parent that did not return
        thread.start()
        thread.join()
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
            assert Path(f"/proc/{other.pid}/ns/pid").readlink() == here


@needs_root
def test_a_namespace_whose_first_process_was_killed_is_made_anew():
    def work():
        process.run(["echo"])
        before = pid_namespace.first_process()
        os.kill(before, signal.SIGKILL)
        os.waitpid(before, 0)
        found.extend([process.run(["echo", "born"]), pid_namespace.first_process() != before])

    found = []
    thread = threading.Thread(target=work)  # one whose children have all been waited for
    thread.start()
    thread.join()
    assert found == ["born\n", True]


@needs_root
def test_threads_that_have_ended_leave_no_process(monkeypatch):
    monkeypatch.setattr(pid_namespace, "_ending", [])
    for _ in range(5):
        thread = threading.Thread(target=process.run, args=(["true"],))
        thread.start()
        thread.join()
    for pid in list(pid_namespace._ending):
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    pid_namespace._reap()
    assert pid_namespace._ending == []


@needs_root
def test_a_tool_is_born_although_the_first_process_was_killed():
    """It ends only when those that it took along have been waited for: until then fork(2) fails."""

    def work():
        with process.spawn_tool(["sleep", "1000"]) as doomed:
            os.kill(pid_namespace.first_process(), signal.SIGKILL)
            os.waitid(os.P_PID, doomed.pid, os.WEXITED | os.WNOWAIT)
            with process.spawn_tool(["true"]) as next_one:
                ended.append(next_one.wait())
            ended.append(doomed.wait())

    ended = []
    # The main thread's first process would live on until an earlier test's tcpdumps are reaped.
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [0, -signal.SIGKILL]


@needs_root
def test_a_namespace_that_cannot_be_made_leaves_no_descriptor_and_the_thread_where_it_was():
    before = len(list(Path("/proc/self/fd").iterdir())), Path("/proc/thread-self/ns/pid").readlink()
    with pytest.raises(FileNotFoundError):
        pid_namespace.PidNamespace("/no/such/".__add__)
    after = len(list(Path("/proc/self/fd").iterdir())), Path("/proc/thread-self/ns/pid").readlink()
    assert after == before
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def test_without_the_privilege_a_tool_is_bound_as_any_other_child(monkeypatch):
    def refuse(setpriv):
        raise pid_namespace.RefusedError

    monkeypatch.setattr(pid_namespace, "of_this_thread", refuse)
    assert process.run(["echo", "begun"]) == "begun\n"


# ---------------------------------------------------------------------------- their directories


@pytest.mark.parametrize("entry", [".", "", "below", "{open}"])
def test_a_tool_is_not_taken_from_where_others_can_put_it(tmp_path, monkeypatch, entry):
    """Nor from the working directory, which may be /tmp."""
    open_to_all = tmp_path / "open"
    for directory in (tmp_path, tmp_path / "below", open_to_all):
        directory.mkdir(exist_ok=True)
        (directory / "cat").write_text("#!/bin/sh\n")
        (directory / "cat").chmod(0o755)
    open_to_all.chmod(0o1777)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", entry.format(open=open_to_all) + ":/usr/bin:/bin")
    assert process.find_tool("cat") in ("/usr/bin/cat", "/bin/cat")
    assert process.run(["cat"], stdin="x") == "x"


def test_a_child_whose_parent_died_before_it_was_bound_does_not_begin(monkeypatch):
    def said():
        with process.spawn(["echo", "begun"], stdout=subprocess.PIPE) as child:
            out, _ = child.communicate()
        return child.returncode, out

    assert said() == (0, b"begun\n")
    monkeypatch.setattr(os, "getpid", lambda: 1)  # the parent it is told of is not the one it sees
    assert said() == (1, b"")
