# SPDX-License-Identifier: Apache-2.0
"""A guest: QEMU's command as virtme-ng composes it, and what the guest runs.

virtme-ng finds the kernel's modules, makes the initramfs that mounts the host's root, and knows
QEMU; it is asked for the command only (`--dry-run`). QEMU itself is started here, so that it dies
with us and its console is ours: virtme-ng's exit code and output are not to be relied on without
a terminal and udev.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from harness.kernels.accelerator import Accelerator
from harness.kernels.catalogue import catalogue
from harness.kernels.kernel import Kernel
from harness.kernels.tools import find_tool, qemu, run, virtme_run
from harness.plumbing.errors import CommandError, GuestError

INSIDE = Path(__file__).with_name("inside.sh")
#: Directories that a guest has to itself: what is below them on the host is of its processes.
MASKED = ("/tmp", "/var/tmp", "/dev/shm")
#: Guest memory, MiB: pytest, the compiler, and what tests write; 1000 were enough for the suites.
MEMORY = 1500
_WRITABLE = "60%"  # of the guest's memory, for what it writes
_DEADLINE = 120.0  # seconds for virtme-ng to compose
#: What costs emulation more than it gives: copies byte by byte (`rep movsb`), a fifth level of page
#: tables, checks of every access to a user's memory. Without, tests take a seventh less time.
_EMULATED_CPU = "max,-erms,-fsrm,-la57,-smap,-smep,-umip"
#: What a shared path may not have, as QEMU's and virtme-ng's options cannot carry it.
_UNQUOTABLE = set(",=\"'` \n")


@dataclass(frozen=True)
class Machine:
    """The machine that a guest shall be.

    Attributes:
        accelerator: KVM or emulation.
        memory: MiB.
        cpus: How many. One: what a trip across CPUs costs says little under emulation, and
            runtime patching of tracepoints with two panicked guests of QEMU 7.2.
        counting: Whether guest time counts instructions (`-icount`).
    """

    accelerator: Accelerator
    memory: int = MEMORY
    cpus: int = 1
    counting: bool = False

    def kernel_options(self) -> list[str]:
        """For the kernel's command line; virtme-ng's own come before."""
        options = ["loglevel=5", "log_buf_len=4M"]
        if not self.accelerator.fast:
            # Emulation pays for mitigations of what it does not have.
            options += ["mitigations=off", "nokaslr"]
        if self.counting:
            # The counter's frequency is known, so that nothing need be measured, and drift from
            # boot to boot; and no address is chosen at random.
            options += ["tsc_early_khz=1000000", "tsc=reliable", "clocksource=tsc", "norandmaps",
                        "nowatchdog", "rcupdate.rcu_cpu_stall_suppress=1",
                        # A CPU that halts has its clock jump to the next timer: while it waits for
                        # the host's disk, to the end of any deadline.
                        "idle=poll"]  # fmt: skip
        return options

    def qemu_options(self) -> list[str]:
        """For QEMU; virtme-ng's own come before."""
        if self.counting:
            return ["-icount", "shift=0,sleep=off"]
        return [] if self.accelerator.fast else ["-cpu", _EMULATED_CPU]


@dataclass(frozen=True)
class Job:
    """What a guest shall run.

    Attributes:
        argv: The command; its output goes to output.txt.
        directory: Its working directory, on host and guest.
        environment: Variables it has besides the host's that are passed on.
        interactive: Whether it has the terminal instead.
        results: A directory whose files come home: in the guest it is `results` of what is shared.
        files: What it reads besides, wherever it lies; in the guest it has the same path.
    """

    argv: list[str]
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    interactive: bool = False
    results: Path | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A guest that can be started.

    Attributes:
        argv: QEMU's command.
        share: The directory that host and guest share, where results arrive.
    """

    argv: list[str]
    share: Path


def check_paths(*paths: Path) -> None:
    """Refuse paths that cannot be handed to a guest.

    Raises:
        GuestError: One has a character that QEMU's options cannot carry.
    """
    for path in paths:
        bad = sorted(_UNQUOTABLE & set(str(path)))
        if bad:
            raise GuestError(f"the path {str(path)!r} cannot be shared with a guest: it has {bad}",
                             "use a directory without")  # fmt: skip


def prepare(
    kernel: Kernel, machine: Machine, job: Job, images: dict[str, Path], own: Path, share: Path
) -> Prepared:
    """Compose a guest.

    Args:
        kernel: What it boots.
        machine: What it is.
        job: What it runs.
        images: Name → image; `host` and `checkout`.
        own: A directory for the files it takes to boot, which the guest sees as well.
        share: The directory for results.

    Raises:
        GuestError: virtme-ng cannot compose it, and why.
    """
    check_paths(own, share, job.directory)
    (own / "inside.env").write_text(_environment(kernel, job, share), encoding="utf-8")
    (own / "inside.sh").write_bytes(INSIDE.read_bytes())
    image = _as_installed(kernel, own)
    find_tool("busybox")
    find_tool("file")
    command = [
        *virtme_run(), "--kimg", str(image), "--mods", "auto", "--force-9p",
        "--name", "guest", "--memory", f"{machine.memory}M", "--cpus", str(machine.cpus),
        "--qemu-bin", qemu(), "--rwdir", f"{share}={share}",
        "--script-sh", shlex.join(["sh", str(own / "inside.sh"), str(own)]),
        "--save-initramfs", str(own / "initramfs"), "--dry-run", "--show-command",
        *([] if machine.accelerator.fast else ["--disable-kvm"]),
        *(part for option in machine.kernel_options() for part in ("--kopt", option)),
    ]  # fmt: skip
    try:
        said = run(command, _DEADLINE, TMPDIR=str(own))
    except CommandError as error:
        lines = [line for line in (error.stderr or error.stdout).splitlines() if line.strip()]
        raise GuestError(
            f"vng cannot compose a guest for {kernel.release}: {(lines or ['no reason given'])[-1]}"
        ) from None
    composed = next((line for line in said.splitlines() if "qemu" in line), "")
    if not composed:
        raise GuestError(f"vng composes no command for {kernel.release}: {said.strip()!r}")
    argv = _own_channels(shlex.split(composed), share, job.interactive)
    if _above_modules(kernel) == "/":
        argv = [_LINK.sub("virtme_root_mods=1", part) for part in argv]
    return Prepared([*argv, *_drives(images), *machine.qemu_options()], share)


def _as_installed(kernel: Kernel, own: Path) -> Path:
    """The image where virtme-ng finds the modules that belong to it."""
    image = own / "boot" / f"vmlinuz-{kernel.release}"
    image.parent.mkdir()
    image.symlink_to(kernel.image)
    if kernel.modules is not None:
        modules = own / "lib" / "modules" / kernel.release
        modules.parent.mkdir(parents=True)
        modules.symlink_to(kernel.modules)
    return image


#: virtme-ng's init lays a link to the modules over /lib/modules: if they lie there, it would lead
#: to itself.
_LINK = re.compile(r"\bvirtme_link_mods=\S+")


def _above_modules(kernel: Kernel) -> str:
    """What `modprobe -d` is told; empty: there are no modules."""
    if kernel.modules is None:
        return ""
    own = Path("/lib/modules") / kernel.release
    if kernel.modules.resolve() == own.resolve():  # also as /usr/lib/modules
        return "/"
    return str(kernel.modules.parents[2])


def _own_channels(argv: list[str], share: Path, interactive: bool) -> list[str]:
    """QEMU's command with the console in a file, or on the terminal, and nothing else on ours."""
    console = f"file,id=console,path={share / 'console.log'}"
    if interactive:
        console = "stdio,id=console,signal=off,mux=off"
    changed = []
    for before, part in zip(["", *argv], argv, strict=False):
        if before != "-chardev":
            changed.append(part)
            continue
        name = next(option for option in part.split(",") if option.startswith("id="))
        changed.append(console if name == "id=console" else f"null,{name}")
    return changed


def _drives(images: dict[str, Path]) -> list[str]:
    options = []
    for name, image in images.items():
        options += [
            "-drive", f"if=none,id={name},file={image},format=raw,readonly=on",
            "-device", f"virtio-blk-pci,drive={name},serial={name}",
        ]  # fmt: skip
    return options


def _environment(kernel: Kernel, job: Job, share: Path) -> str:
    """inside.env: variables of inside.sh."""
    groups = catalogue().modules
    values = {
        "RELEASE": kernel.release,
        "SHARE": str(share),
        "MODULES": _above_modules(kernel),
        "BOOT_MODULES": " ".join(groups["boot"]),
        "TESTBED_MODULES": " ".join(groups["testbed"]),
        "WANTED_MODULES": " ".join(groups["wanted"]),
        "KEEP": " ".join(_kept_below_masked(kernel, job)),
        "MASKED": " ".join(MASKED),
        "WRITABLE": _WRITABLE,
        "RESULTS": str(job.results or ""),
        "GUEST_PATH": os.pathsep.join(dict.fromkeys(
            [*os.environ.get("PATH", "").split(os.pathsep), *_PATH.split(os.pathsep)])),
        "COMMAND": _command(job, share),
    }  # fmt: skip
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _kept_below_masked(kernel: Kernel, job: Job) -> list[str]:
    """Directories of the host that a guest needs although they lie below what is masked."""
    wanted = [Path(sys.prefix), Path(sys.base_prefix), job.directory, harness_root()]
    wanted += [path.parent for path in job.files]
    if kernel.root is not None:
        wanted.append(kernel.root)
    return [str(path) for path in dict.fromkeys(wanted)
            if any(path.is_relative_to(masked) for masked in MASKED)]  # fmt: skip


def harness_root() -> Path:
    """The directory that `harness` is imported from."""
    return Path(__file__).resolve().parents[2]


#: What a command in a guest takes over from the host.
_PASSED_ON = ("LANG", "LC_ALL", "TERM", "PYTHONPATH", "PYTEST_ADDOPTS", "VIRTUAL_ENV", "COLUMNS")


def _command(job: Job, share: Path) -> str:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    passed |= {name: value for name, value in os.environ.items() if name.startswith("HOSTROUTE_")}
    variables = {"HOME": "/root", **passed, **job.environment}
    words = ["env", *(f"{name}={value}" for name, value in variables.items()), *job.argv]
    command = f"cd {shlex.quote(str(job.directory))} && {shlex.join(words)}"
    if job.interactive:
        return f"setsid -c sh -c {shlex.quote(command)} </dev/ttyS0 >/dev/ttyS0 2>&1"
    return f"{{ {command}; }} </dev/null >{shlex.quote(str(share / 'output.txt'))} 2>&1"
