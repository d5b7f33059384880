# SPDX-License-Identifier: Apache-2.0
"""Guests: how they are composed, and how they are judged by what they leave. No QEMU here."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.errors import GuestError, MissingToolError
from harness.kernels import accelerator as accelerators
from harness.kernels import guest, tools
from harness.kernels.accelerator import Accelerator, emulation
from harness.kernels.guest import Job, Machine, Prepared, prepare
from harness.kernels.kernel import Kernel
from harness.kernels.watch import Limits, Watcher

SLOW = emulation("a test")
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
from harness.kernels.watch import Limits, Watcher
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


# --------------------------------------------------------------------------------------- composing

COMPOSED = (
    "/usr/bin/qemu-system-x86_64 -name guest -m 1500M -serial chardev:console"
    " -chardev file,id=console,path=/dev/null -chardev stdio,id=stdin,signal=on,mux=off"
    " -chardev file,id=ret,path=/somewhere -append 'quiet loglevel=1' -initrd /x"
)


@pytest.fixture
def composed(monkeypatch, tmp_path):
    """`prepare` with a virtme-ng that answers what the test wants; returns what it was asked."""
    asked = []

    def run(argv, *_, **environment):
        asked.append((argv, environment))
        return f"a warning\n{COMPOSED}\n"

    for name in ("qemu", "virtme_run"):
        monkeypatch.setattr(guest, name, lambda name=name: "qemu" if name == "qemu" else ["vng"])
    monkeypatch.setattr(guest, "find_tool", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(guest, "run", run)
    return asked


def prepared(tmp_path, job, machine=None):
    own, share, modules = (tmp_path / name for name in ("own", "share", "modules"))
    (modules / "lib" / "modules" / "6.1").mkdir(parents=True)
    own.mkdir()
    share.mkdir()
    kernel = Kernel("6.1", "6.1", "6.1.9", tmp_path / "bzImage", modules, "a test")
    images = {"host": tmp_path / "host.ext4", "checkout": tmp_path / "checkout.ext4"}
    return prepare(kernel, machine or Machine(SLOW), job, images, own, share)


def test_console_and_results_are_ours(composed, tmp_path):
    argv = prepared(tmp_path, Job(["true"], tmp_path)).argv
    channels = [argv[at + 1] for at, part in enumerate(argv) if part == "-chardev"]
    assert channels == [
        f"file,id=console,path={tmp_path}/share/console.log", "null,id=stdin", "null,id=ret",
    ]  # fmt: skip
    drives = [part for part in argv if part.startswith("if=none")]
    assert drives == [f"if=none,id={name},file={tmp_path}/{name}.ext4,format=raw,readonly=on"
                      for name in ("host", "checkout")]  # fmt: skip


def test_an_interactive_guest_has_the_terminal(composed, tmp_path):
    argv = prepared(tmp_path, Job(["sh"], tmp_path, interactive=True)).argv
    assert "stdio,id=console,signal=off,mux=off" in argv
    assert "setsid -c" in (tmp_path / "own" / "inside.env").read_text()


def test_modules_lie_beside_the_image_for_vng(composed, tmp_path):
    prepared(tmp_path, Job(["true"], tmp_path))
    own = tmp_path / "own"
    assert (own / "boot" / "vmlinuz-6.1").readlink() == tmp_path / "bzImage"
    assert (own / "lib" / "modules" / "6.1").resolve() == tmp_path / "modules/lib/modules/6.1"
    argv, environment = composed[0]
    assert argv[argv.index("--kimg") + 1] == str(own / "boot" / "vmlinuz-6.1")
    assert environment["TMPDIR"] == str(own)  # what vng makes goes with the guest


def test_emulation_is_asked_for_and_saved_its_mitigations(composed, tmp_path):
    prepared(tmp_path, Job(["true"], tmp_path))
    argv = composed[0][0]
    assert "--disable-kvm" in argv
    assert "mitigations=off" in argv


def test_kvm_keeps_what_the_kernel_does_by_itself(composed, tmp_path):
    prepared(tmp_path, Job(["true"], tmp_path), Machine(Accelerator("kvm", "a test")))
    argv = composed[0][0]
    assert "--disable-kvm" not in argv
    assert "mitigations=off" not in argv


def test_a_counting_machine(composed, tmp_path):
    argv = prepared(tmp_path, Job(["true"], tmp_path), Machine(SLOW, counting=True)).argv
    assert argv[argv.index("-icount") + 1] == "shift=0,sleep=off"
    assert "-cpu" not in argv  # it counts what a processor that people have executes


def test_emulation_is_saved_what_it_does_slowly(composed, tmp_path):
    argv = prepared(tmp_path, Job(["true"], tmp_path)).argv
    assert "-erms" in argv[argv.index("-cpu") + 1].split(",")
    fast = prepared(
        tmp_path / "kvm", Job(["true"], tmp_path), Machine(Accelerator("kvm", "a test"))
    )
    assert "-cpu" not in fast.argv


def inside(tmp_path):
    """The variables that the guest's script gets, as a shell reads them."""
    names = ("RELEASE", "SHARE", "MODULES", "BOOT_MODULES", "TESTBED_MODULES", "KEEP", "RESULTS",
             "COMMAND")  # fmt: skip
    script = f". {tmp_path}/own/inside.env; " + "; ".join(f'echo "${name}"' for name in names)
    said = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    return dict(zip(names, said.stdout.split("\n"), strict=False))


def test_what_the_guest_is_told(composed, tmp_path, monkeypatch):
    monkeypatch.setenv("HOSTROUTE_SOMETHING", "a 'b' c")
    job = Job(["echo", "it's; $HOME"], tmp_path, {"HOSTROUTE_ACCELERATOR": "emulation"},
              results=tmp_path / "results")  # fmt: skip
    prepared(tmp_path, job)
    told = inside(tmp_path)
    assert told["MODULES"] == str(tmp_path / "modules")
    assert "overlay" in told["BOOT_MODULES"].split()
    assert "veth" in told["TESTBED_MODULES"].split()
    assert str(tmp_path) in told["KEEP"].split()  # it lies below /tmp, which the guest has new
    assert told["RESULTS"] == str(tmp_path / "results")
    subprocess.run(["sh", "-c", told["COMMAND"]], env={"PATH": os.environ["PATH"]}, check=True)
    assert (tmp_path / "share" / "output.txt").read_text() == "it's; $HOME\n"
    assert "HOSTROUTE_SOMETHING=a '\"'\"'b'\"'\"' c" in told["COMMAND"]
    assert "HOSTROUTE_ACCELERATOR=emulation" in told["COMMAND"]


def test_modules_that_lie_where_a_guest_looks_for_them_are_not_linked_to(
    composed, tmp_path, monkeypatch
):
    linked = "virtme_link_mods=/own/lib/modules/6.1"
    monkeypatch.setattr(sys.modules[__name__], "COMPOSED", COMPOSED.replace("quiet", linked))
    argv = prepared(tmp_path, Job(["true"], tmp_path)).argv
    assert any(linked in part for part in argv)
    shutil.rmtree(tmp_path / "own")
    monkeypatch.setattr(guest, "_above_modules", lambda _: "/")
    kernel = Kernel("6.1", "6.1", "6.1.9", tmp_path / "bzImage", tmp_path / "modules", "a test")
    (tmp_path / "own").mkdir()
    argv = prepare(kernel, Machine(SLOW), Job(["true"], tmp_path), {}, tmp_path / "own",
                   tmp_path / "share").argv  # fmt: skip
    assert argv[argv.index("-append") + 1] == "virtme_root_mods=1 loglevel=1"
    assert inside(tmp_path)["MODULES"] == "/"


def test_modules_of_the_hosts_own(monkeypatch):
    monkeypatch.setattr("harness.kernels.kernel.is_there", lambda *_, **__: True)
    for root in ("/", "/usr"):
        kernel = Kernel("6.1", "6.1", "6.1.9", Path("/image"), Path(root), "a test")
        merged = Path("/lib").is_symlink()
        assert guest._above_modules(kernel) == ("/" if merged else root)
    assert guest._above_modules(Kernel("6.1", "6.1", "6.1", Path("/image"), None, "built in")) == ""


LAYING = """
root=$1/root MODULES=$2 RELEASE=6.1
%s
"""


@pytest.mark.parametrize("modules", ["/", "/cache/6.1"])
def test_a_guests_modules_are_not_replaced_by_a_link_to_themselves(tmp_path, modules):
    text = guest.INSIDE.read_text()
    block = text[text.index('if [ -n "$MODULES" ] &&') : text.index("# A root, not a chroot")]
    own = tmp_path / "root" / "lib" / "modules" / "6.1"
    own.mkdir(parents=True)
    script = LAYING % block
    subprocess.run(["sh", "-euc", script, "sh", str(tmp_path), modules], check=True)
    if modules == "/":
        assert own.is_dir()
        assert not own.is_symlink()
    else:
        assert str(own.readlink()) == f"{modules}/lib/modules/6.1"


def test_modprobe_finds_modules_below_the_root(tmp_path):
    # The directory ends in a slash, as `/` does.
    path = tmp_path / "lib" / "modules" / "6.1"
    path.mkdir(parents=True)
    (path / "veth.ko").touch()
    (path / "modules.order").write_text("veth.ko\n")
    tools.run(["depmod", "-b", str(tmp_path), "6.1"])
    said = tools.run(["modprobe", "-d", f"{tmp_path}/", "-S", "6.1", "-n", "-v", "-a", "veth"])
    assert said.split()[:2] == ["insmod", f"{tmp_path}//lib/modules/6.1/veth.ko"]


def test_the_guests_script_is_a_shells():
    subprocess.run(["sh", "-n", str(guest.INSIDE)], check=True)


@pytest.mark.parametrize("name", ["with space", "a,b", "a=b", "it's"])
def test_paths_that_options_cannot_carry(composed, tmp_path, name):
    directory = tmp_path / name
    directory.mkdir()
    with pytest.raises(
        GuestError, match=r"cannot be shared with a guest: it has .*: use a directory"
    ):
        prepared(tmp_path, Job(["true"], directory))


def test_what_vng_cannot_compose(composed, tmp_path, monkeypatch):
    monkeypatch.setattr(guest, "run", lambda *_, **__: "nothing of use\n")
    with pytest.raises(GuestError, match=r"vng composes no command for 6.1"):
        prepared(tmp_path, Job(["true"], tmp_path))


# ------------------------------------------------------------------------------------- accelerator


@pytest.fixture
def kvm(monkeypatch, tmp_path):
    """A machine with /dev/kvm, whose QEMU is a script."""
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accelerators, "_KVM", str(device))
    monkeypatch.setattr(accelerators, "_SILENCE", 0.5)

    def with_qemu(script):
        path = tmp_path / "qemu"
        path.write_text(f'#!/bin/sh\nfor a; do case $a in file:*) C=${{a#file:}};; esac; done\n{script}\n')  # fmt: skip # noqa: E501
        path.chmod(0o755)
        monkeypatch.setattr(accelerators, "qemu", lambda: str(path))
        return accelerators._try(tmp_path / "image")

    return with_qemu


@pytest.mark.parametrize(
    ("script", "name", "words"),
    [
        ("echo 'Kernel panic - not syncing: VFS' >$C", "kvm", "a kernel booted under it"),
        ("exec sleep 60", "emulation", "a guest hangs in it: silent for"),
        (
            "echo Booting >$C; sleep 0.3; echo on >>$C; exec sleep 60",
            "emulation",
            "a guest hangs in it: silent for",
        ),
        (
            "echo 'KVM: entry failed' >&2; exit 1",
            "emulation",
            "no guest runs in it: KVM: entry fai",
        ),
        ("exit 0", "emulation", "no guest runs in it: it ended early"),
    ],
)
def test_kvm_is_what_a_kernel_boots_under(kvm, script, name, words):
    found = kvm(script)
    assert found.name == name
    assert words in found.reason


def test_no_kvm_at_all(monkeypatch, tmp_path):
    monkeypatch.setattr(accelerators, "_KVM", str(tmp_path / "kvm"))
    found = accelerators._try(tmp_path / "image")
    assert str(found).startswith("emulation (no KVM: ")


# ------------------------------------------------------------------------------------------- tools


def test_missing_programs_say_which_package_has_them(monkeypatch):
    monkeypatch.setattr(tools.shutil, "which", lambda *_, **__: None)
    with pytest.raises(
        MissingToolError, match=r"run `apt-get install --no-install-recommends qemu-"
    ):
        tools.qemu()
    with pytest.raises(MissingToolError, match=r"busybox is not installed: .* busybox-static"):
        tools.find_tool("busybox")
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingToolError, match=r"vng is not installed: .*pip install virtme-ng"):
        tools.virtme_run()


def test_programs_are_found_where_path_does_not_look(monkeypatch, tmp_path):
    program = tmp_path / "sbin" / "depmod"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$0 $*; $WORD"\n')
    program.chmod(0o755)
    monkeypatch.setattr(tools.process, "_SBIN", f"{program.parent}:{tools.process._SBIN}")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if shutil.which("depmod") is None:  # no sbin on PATH, as for a user
        assert tools.run(["depmod", "-b"], WORD="x") == f"{program} -b; x\n"


@pytest.mark.parametrize("value", ["", "relative"])
def test_the_cache_is_the_users(monkeypatch, tmp_path, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert tools.cache_root() == tmp_path / ".cache" / "hostroute"
    monkeypatch.setenv("XDG_CACHE_HOME", "/else")
    assert str(tools.cache_root()) == "/else/hostroute"
