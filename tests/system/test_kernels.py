# SPDX-License-Identifier: Apache-2.0
"""Other kernels for real: the suite on one, and guests that panic, hang, lack a module, are killed.

Each test boots a virtual machine, half a minute under emulation: they are marked `slow`.
"""

import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from harness.kernels import Campaign, Fetcher, Images, Job, Machine, Mirror, Store, find
from harness.kernels.accelerator import emulation
from harness.kernels.instructions import VARIABLE
from harness.kernels.supervisor import Limits
from harness.kernels.tools import cache_root, run
from harness.plumbing.errors import FAILED_ON_KERNEL, GuestError, KernelError
from tests.support.host_state import await_, marked
from tests.support.run_cli import CLI, MARK, ROOT, end, start

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("hr_machine")]

KERNEL, OTHER = "6.12", "5.10"
BOOT = 400.0  # seconds that a guest may take on a machine that others use as well
PATIENT = Limits(boot=BOOT, silence=BOOT, whole=2 * BOOT)


@pytest.fixture(scope="module")
def fetcher():
    cache = cache_root()
    return Fetcher(Store(cache / "kernels"), Mirror(cache / "apt"), print)


@pytest.fixture
def guests(fetcher, tmp_path):
    """A function that runs a shell script in a guest for each kernel; returns their results."""

    def run_script(script, *kernels, limits=PATIENT, counting=False):
        directory = Path(tempfile.mkdtemp(dir=tmp_path))
        campaign = Campaign(fetcher, Images(cache_root() / "images"), directory, print)
        campaign.resolve(kernels or (KERNEL,))
        how = emulation("it counts") if counting else campaign.accelerator()
        job = Job(["sh", "-c", script], ROOT, {VARIABLE: "1"} if counting else {})
        campaign.run(lambda _: job, Machine(how, counting=counting), 1, limits)
        return campaign.results

    return run_script


def output(result):
    return (result.directory / "output.txt").read_text()


def test_a_part_of_the_suite_passes_on_another_kernel(tmp_path):
    words = ("--", "-m", "conformance", "testbeds/one_node/test_legs.py",
             "-k", "hr07_ping and ipv4 and (legacy or bpf-ipv4)")  # fmt: skip
    child = start([*CLI, "kernels", "run", KERNEL, "--results", str(tmp_path), *words])
    out, err = child.communicate(timeout=3 * BOOT)
    assert child.returncode == 0, err
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("HR-")}
    assert list(rows) == ["HR-07"]
    assert rows["HR-07"].endswith("2 ok")
    (directory,) = (tmp_path / "kernels").glob("*/*")
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["status"] == 0
    assert summary["tests"] == {"passed": 2}
    (path,) = (directory / "results").glob("run-*.json")
    record = json.loads(path.read_text())
    assert record["machine"]["kernel"] == summary["release"] != platform.release()
    assert record["machine"]["accelerator"] in ("kvm", "emulation")
    assert {entry["outcome"] for entry in record["conformance"]} == {"passed"}
    assert summary["release"] in (directory / "kernel.log").read_text()


TWO_TESTS = """
def test_hr07_x(hr_observed): assert 1 == 2
def test_hr08_y(hr_observed): pass
"""


def test_a_test_that_fails_on_another_kernel(tmp_path):
    """The control of the one above; and another project, whose records go elsewhere as a rule."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "conftest.py").write_text('pytest_plugins = ["pytest_hostroute"]\n')
    (project / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = "--hr-results=elsewhere"\n'
    )
    (project / "test_it.py").write_text(TWO_TESTS)
    ended = subprocess.run(
        [*CLI, "kernels", "run", KERNEL, "--", "-W", "error", "--strict-markers"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=2 * BOOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == FAILED_ON_KERNEL, ended.stderr
    assert "1 FAILED" in ended.stdout
    assert "HR-08" in ended.stdout
    assert "test_it.py::test_hr07_x: assert 1 == 2" in ended.stdout
    (directory,) = (project / "results" / "kernels").glob("*/*")  # itself below what is shared
    (path,) = (directory / "results").iterdir()
    outcomes = [entry["outcome"] for entry in json.loads(path.read_text())["conformance"]]
    assert outcomes == ["failed", "passed"]


def test_a_panic_is_reported_and_the_other_kernel_is_complete(guests):
    script = f"""
        echo on $(uname -r)
        case $(uname -r) in
            {OTHER}.*) echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 1000;;
        esac
    """
    panicked, whole = guests(script, OTHER, KERNEL)
    assert panicked.trouble == "panicked: Kernel panic - not syncing: sysrq triggered crash"
    assert any("sysrq" in line for line in panicked.ended.lines)
    assert panicked.exit_code == GuestError.exit_code
    assert (whole.trouble, whole.exit_code) == ("", 0)
    assert output(whole) == f"on {whole.kernel.release}\n"


def test_a_hang_is_reported_at_its_deadline(guests):
    begun = time.monotonic()
    (result,) = guests("echo begun; sleep 10000", limits=Limits(BOOT, 90, 2 * BOOT))
    assert result.trouble == "hung: no sign of it for 90 s"
    assert result.ended.lines  # the console's tail
    assert output(result) == "begun\n"
    assert time.monotonic() - begun < BOOT + 90


def test_a_splat_is_reported_although_the_command_succeeded(guests):
    (result,) = guests("echo '<4>WARNING: CPU: 0 PID: 1 at nowhere' >/dev/kmsg")
    assert result.ended.status == 0
    assert result.trouble == "the kernel complained: WARNING: CPU: 0 PID: 1 at nowhere"


def test_what_a_command_says_comes_home(guests):
    (result,) = guests("echo one; echo two >&2; exit 7")
    assert output(result) == "one\ntwo\n"
    assert result.ended.status == 7
    assert result.exit_code == FAILED_ON_KERNEL


def test_what_a_guest_writes_stays_in_the_guest(guests):
    marks = [Path("/etc/hostroute-was-here"), ROOT / "hostroute-was-here"]
    script = f"""
        set -e
        for path in {marks[0]} {marks[1]} /tmp/x /var/tmp/x /run/x; do echo x >$path; done
        test -e {ROOT}/pyproject.toml
        test ! -e /tmp/hostroute-scratch-*
        unshare --user true
    """
    (result,) = guests(script)
    assert result.ended.status == 0, output(result)
    assert not any(mark.exists() for mark in marks)


@pytest.fixture
def without_veth(fetcher, tmp_path):
    """A kernel whose modules lack veth; whether the host can tell is up to `modules.builtin`."""
    whole = find(KERNEL, fetcher)
    copy = tmp_path / "root" / "lib" / "modules" / whole.release
    shutil.copytree(str(whole.modules), copy)
    for path in copy.rglob("veth.ko*"):
        path.unlink()
    run(["depmod", "-b", str(tmp_path / "root"), whole.release])
    return f"{whole.image}:{tmp_path / 'root'}", copy / "modules.builtin"


def test_a_kernel_without_veth_is_refused_before_it_boots(guests, without_veth):
    lacking, whole = guests("true", without_veth[0], OTHER)
    assert isinstance(lacking.error, KernelError)
    assert "has no module veth (CONFIG_VETH" in lacking.trouble
    assert lacking.ended is None
    assert (whole.trouble, whole.exit_code) == ("", 0)


def test_a_kernel_without_veth_that_does_not_say_so_fails_in_the_guest(guests, without_veth):
    without_veth[1].unlink()
    (result,) = guests("true", without_veth[0])
    assert result.trouble.startswith("modules cannot be loaded: ")
    assert "veth" in result.trouble
    assert result.exit_code == GuestError.exit_code


def guests_of(mark):
    """QEMUs that bear a mark."""
    return [pid for pid in marked(mark) if "qemu" in Path(f"/proc/{pid}/comm").read_text()]


@pytest.fixture
def two_booting(tmp_path):
    """A run of two kernels at once, both of which boot by now; and its mark."""
    mark = f"kernels-{os.getpid()}-{time.monotonic_ns()}"
    child = start(
        [*CLI, "kernels", "run", KERNEL, OTHER, "-j", "2", "--results", str(tmp_path), "--",
         "-m", "conformance", "-k", "hr07"],
        {MARK: mark}, start_new_session=True,
    )  # fmt: skip
    said = ""
    assert child.stderr is not None
    for line in child.stderr:
        said += line
        if said.count(": boots (") == min(2, len(os.sched_getaffinity(0))):
            break
    assert child.poll() is None, said
    assert await_(lambda: guests_of(mark))
    yield child, mark
    if child.poll() is None:
        child.kill()
        child.communicate()


def test_ctrl_c_leaves_no_guest(two_booting):
    child, mark = two_booting
    os.killpg(child.pid, signal.SIGINT)
    ended = end(child)
    assert ended.code == 130
    assert "Traceback" not in ended.text
    assert not marked(mark)


def test_sigkill_leaves_no_guest(two_booting):
    child, mark = two_booting
    child.kill()
    child.communicate()
    assert await_(lambda: not marked(mark))


def test_a_shell_in_a_guest(fetcher, tmp_path):
    child = start([*CLI, "kernels", "shell", KERNEL], stdin=subprocess.PIPE)
    out, err = child.communicate("uname -r; echo host $HOSTROUTE_HOST\nexit\n", timeout=2 * BOOT)
    assert child.returncode == 0, err
    assert find(KERNEL, fetcher).release in out
    assert "host master" in out
    assert "Host Routing: BPF" in out


#: Measures each datapath's IPv4 round trip, and once more `bpf` with 200 instructions planted.
COUNTING = """
import dataclasses, json
from harness.bpf.source import Patch
from harness.datapath import DATAPATHS, NodeSettings
from harness.kernels.instructions import check_counting, measure
from harness.topology import TESTBEDS

check_counting()
lost = "\\n".join(['asm volatile("%0 += 1" : "+r"(planted));'] * 200)
old = "if (!read_packet4(skb, &pkt))"
patch = Patch("from_container.c", old, "__u64 planted = skb->len;\\n" + lost + "\\n" + old)
slow = dataclasses.replace(DATAPATHS["bpf"], name="planted", patches=(patch,))
figures = {}
for datapath in (DATAPATHS["bpf"], slow, DATAPATHS["bpf-redirect"], DATAPATHS["legacy"]):
    for figure in measure(datapath, "one_node", TESTBEDS.find("one_node").topology, NodeSettings()):
        if figure.family == "ipv4":
            figures[f"{figure.datapath} {figure.figure}"] = figure.value
print(json.dumps(figures))
"""


def test_counted_instructions_repeat_order_datapaths_and_show_a_slowdown(guests):
    command = shlex.join([sys.executable, "-c", COUNTING])
    boots = [guests(command, counting=True)[0] for _ in range(2)]
    assert [boot.exit_code for boot in boots] == [0, 0], [output(boot) for boot in boots]
    first, second = (json.loads(output(boot).splitlines()[-1]) for boot in boots)
    for name, value in first.items():
        assert abs(second[name] / value - 1) < 0.002, (name, first, second)
    trips = [first[f"{name} round trip"] for name in ("bpf", "bpf-redirect", "legacy")]
    assert trips == sorted(trips)
    # The program runs once for the request and once for the reply.
    assert 390 < first["planted round trip"] - first["bpf round trip"] < 450
    assert 195 < first["planted program cost"] - first["bpf program cost"] < 225


def test_nothing_is_counted_where_the_clock_shows_time(tmp_path):
    ended = end(start([*CLI, "kernels", "bench", "--exact", "--inside", str(tmp_path)]))
    assert ended.code == 12
    assert "the clock of this machine shows time" in ended.err
