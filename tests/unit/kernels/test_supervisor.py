# SPDX-License-Identifier: Apache-2.0
"""Guests: how they are watched, and judged by what they leave. No QEMU here."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest

from harness.kernels.guest import Prepared
from harness.kernels.supervisor import Limits, Watcher

PATIENT = Limits(boot=30, silence=30, whole=30)


def qemu(share, script):
    """A guest whose QEMU is a shell script; `$S` is the shared directory."""
    return Prepared(["sh", "-c", f"S={shlex.quote(str(share))}; {script}"], share)


def run(tmp_path, script, limits=PATIENT):
    return Watcher().run(qemu(tmp_path, script), limits)


UP = 'for stage in up root inside; do echo "5.0 $stage" >>$S/progress; done;'
DONE = UP + 'echo "31.5 ended" >>$S/progress; echo 0 >$S/status; echo "32 written" >>$S/progress'


def test_a_guest_that_came_to_its_end(tmp_path):
    ended = run(tmp_path, DONE)
    assert (ended.status, ended.trouble, ended.lines) == (0, "", ())
    assert list(ended.seconds) == ["start", "root", "modules", "run", "finish", "off"]


def test_phases_are_timed_by_the_hosts_clock(tmp_path):
    slow = DONE.replace('echo "31.5 ended"', 'sleep 1.5; echo "31.5 ended"')
    seconds = run(tmp_path, slow).seconds
    assert 1 < seconds["run"] < 10
    assert seconds["root"] < 1


def test_a_failing_command_is_no_trouble_of_the_guest(tmp_path):
    ended = run(tmp_path, DONE.replace("echo 0 >$S/status", "echo 1 >$S/status"))
    assert (ended.status, ended.trouble) == (1, "")


PANIC = """
[   12.000000] sysrq: Trigger a crash
[   12.100000] Kernel panic - not syncing: sysrq triggered crash
[   12.200000] CPU: 0 PID: 1 Comm: sh
"""


def test_a_panic_is_told_with_its_lines(tmp_path):
    (tmp_path / "panic").write_text(f"[ 1.0] usual\n{PANIC}")
    ended = run(tmp_path, UP + "cp $S/panic $S/console.log")
    assert ended.status is None
    assert ended.trouble == "panicked: Kernel panic - not syncing: sysrq triggered crash"
    assert "usual" not in "".join(ended.lines)
    assert "Comm: sh" in ended.lines[-1]


def test_a_splat_fails_a_kernel_on_which_every_test_passed(tmp_path):
    (tmp_path / "log").write_text(
        "[ 3.0] fine\n[ 4.0] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1\n"
    )
    ended = run(tmp_path, "cp $S/log $S/kernel.log;" + DONE)
    assert ended.status == 0
    assert ended.trouble == "the kernel complained: WARNING: CPU: 0 PID: 1 at net/core/dev.c:1"
    assert ended.lines == ("[ 4.0] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1",)


@pytest.mark.parametrize(
    ("script", "limits", "words"),
    [
        ("exec sleep 60", Limits(0.5, 30, 30), "hung: no root within 0.5 s"),
        (UP + "echo last words >$S/console.log; exec sleep 60", Limits(30, 1, 30),
         "hung: no sign of it for 1 s"),
        (UP + "while :; do echo x >>$S/output.txt; sleep 0.1; done", Limits(30, 30, 2),
         "hung: not at its end within 2 s"),
    ],
)  # fmt: skip
def test_a_hang_ends_at_its_deadline(tmp_path, script, limits, words):
    begun = time.monotonic()
    ended = run(tmp_path, script, limits)
    assert time.monotonic() - begun < 15
    assert (ended.status, ended.trouble) == (None, words)
    if "last words" in script:
        assert ended.lines == ("last words",)


def test_progress_is_no_hang(tmp_path):
    script = UP + "for i in 1 2 3 4 5; do sleep 0.4; echo x >>$S/output.txt; done;"
    ended = run(tmp_path, script + DONE.removeprefix(UP), Limits(30, 1.5, 30))
    assert (ended.status, ended.trouble) == (0, "")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no such machine' >&2; exit 1", "QEMU did not start: no such machine"),
        (UP + "kill -9 $$", "QEMU was killed by signal 9: is there memory enough?"),
        (UP + "echo x >$S/console.log", "it ended before its command did"),
        (UP + "echo '20 ended' >>$S/progress", "its results could not be written"),
        (UP + "echo 'no disk host' >$S/trouble", "no disk host"),
        ("touch $S/full;" + DONE, "ran out of room for what it writes"),
    ],
)
def test_other_ends(tmp_path, script, words):
    assert run(tmp_path, script).trouble.startswith(words)


def test_stop_ends_guests_of_other_threads(tmp_path):
    watcher = Watcher()
    (tmp_path / "a").mkdir()
    found = []
    thread = threading.Thread(
        target=lambda: found.append(
            watcher.run(qemu(tmp_path / "a", "echo $$ >$S/pid; exec sleep 60"), PATIENT)
        )
    )
    thread.start()
    while not (tmp_path / "a" / "pid").exists() or not (tmp_path / "a" / "pid").read_text():
        assert thread.is_alive()
    pid = int((tmp_path / "a" / "pid").read_text())
    watcher.stop()
    thread.join(10)
    assert found[0].trouble == "stopped"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


KILLED = """
import sys
from pathlib import Path
from harness.kernels.guest import Prepared
from harness.kernels.supervisor import Limits, Watcher
share = Path(sys.argv[1])
Watcher().run(Prepared(["sh", "-c", f"echo $$ >{share}/pid; exec sleep 60"], share),
              Limits(60, 60, 60))
"""


def test_a_guest_dies_with_us(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    pid = tmp_path / "pid"
    end = time.monotonic() + 20
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < end
    child.send_signal(signal.SIGKILL)
    child.wait()
    while time.monotonic() < end:
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            return
    pytest.fail("the guest lives on")
