# SPDX-License-Identifier: Apache-2.0
"""Guests: how they are composed, and by what they run. No QEMU here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernels import accelerator as accelerators
from harness.kernels import guest, tools
from harness.kernels.accelerator import Accelerator, emulation
from harness.kernels.guest import Job, Machine, prepare
from harness.kernels.kernel import Kernel
from harness.plumbing.errors import GuestError, KernelSourceError, MissingToolError

SLOW = emulation("a test")

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
    assert "idle=poll" in composed[0][0]  # a clock that jumps would end every deadline
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


def test_files_below_what_is_masked_are_kept(composed, tmp_path):
    mine = Path("/tmp/of-a-user/mine.toml")
    prepared(tmp_path, Job(["true"], tmp_path, files=(mine, Path("/srv/mine.o"))))
    assert {"/tmp/of-a-user"} <= set(inside(tmp_path)["KEEP"].split())
    assert "/srv" not in inside(tmp_path)["KEEP"].split()


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
    monkeypatch.setattr(tools.process.shutil, "which", lambda *_, **__: None)
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


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tools.Path, "home", nobody)
    with pytest.raises(KernelSourceError, match=r"has no home directory: set XDG_CACHE_HOME"):
        tools.cache_root()


def test_virtme_is_not_taken_from_the_working_directory(monkeypatch, tmp_path):
    impostor = tmp_path / "virtme" / "commands"
    impostor.mkdir(parents=True)
    (impostor / "run.py").write_text("print('impostor')\n")
    for package in (impostor, impostor.parent):
        (package / "__init__.py").touch()
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda _: True)
    ended = subprocess.run(
        [*tools.virtme_run(), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "impostor" not in ended.stdout
