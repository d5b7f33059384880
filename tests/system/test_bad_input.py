# SPDX-License-Identifier: Apache-2.0
"""A machine that lacks something: one line that says what to do, and an exit code; no traceback.

Each lack is real where it can be: another user, a dropped capability, files hidden in a mount
namespace of the child's own, a seccomp filter, a limit in a user namespace of the child's own.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.bpf.bcc_import import DIST_PACKAGES
from harness.datapath.features import release
from harness.plumbing.process import TOOLS, find_tool
from tests.support.run_cli import CLI, end, pytest_of, start

pytestmark = pytest.mark.usefixtures("hr_machine")

ONE_TEST = ("-q", "testbeds/one_node/test_legs.py", "-k", "hr10 and bpf and ipv4")
UNSHARE_NUMBER = 272 if platform.machine() == "x86_64" else 97  # asm/unistd.h

#: unshare(CLONE_NEWNET) is refused with the errno argv[1], as a container's seccomp profile does;
#: then argv[2:] runs. A classic BPF program over struct seccomp_data (uapi/linux/seccomp.h).
SECCOMP = f"""
import ctypes, os, struct, sys
op = lambda code, jt, jf, k: struct.pack("=HBBI", code, jt, jf, k)
filter = ctypes.create_string_buffer(
    op(0x20, 0, 0, 0) + op(0x15, 0, 3, {UNSHARE_NUMBER})      # ld nr; jeq unshare
    + op(0x20, 0, 0, 16) + op(0x45, 0, 1, 0x40000000)         # ld flags; jset CLONE_NEWNET
    + op(0x06, 0, 0, 0x00050000 | int(sys.argv[1]))           # SECCOMP_RET_ERRNO
    + op(0x06, 0, 0, 0x7FFF0000))                             # SECCOMP_RET_ALLOW
program = ctypes.create_string_buffer(struct.pack("=H6xQ", 6, ctypes.addressof(filter)))
if ctypes.CDLL(None).prctl(22, 2, program):                   # PR_SET_SECCOMP, MODE_FILTER
    sys.exit("seccomp refused")
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Lack:
    """What is taken away from a child.

    Attributes:
        code: The exit code to expect.
        words: What its one line must say.
        prefix: The command that takes it away, before the child's own.
        patch: Python that runs in the child before the harness, where nothing real can be done.
    """

    code: int
    words: tuple[str, ...]
    prefix: tuple[str, ...] = ()
    patch: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def hiding(*pairs):
    """Bind mounts in a mount namespace of the child's own; the machine's files stay as they are."""
    binds = "".join(f"mount --bind '{over}' '{path}' && " for over, path in pairs)
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", f'{binds}exec "$@"', "sh")


def covered(path):
    """An empty directory in its place."""
    script = f'mount -t tmpfs none {path} && exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")


def tool_hidden(name):
    def lack(_):
        words = ("is not installed", f"apt-get install {TOOLS[name]}")
        return Lack(11, words, hiding(("/dev/null", Path(find_tool(name)).resolve())))

    return lack


def seccomp(errno):
    return (sys.executable, "-c", SECCOMP, str(errno))


def impostor(directory, text):
    (directory / "__init__.py").write_text(text, encoding="ascii")
    return hiding((directory, DIST_PACKAGES / "bcc"))


#: What is wrong with bpf/rewrite.c → (how it reads then, what the error says, and where).
BROKEN = {
    "compiler": (lambda text: text + "\nint x = ;\n", "does not compile: ", "bpf/rewrite.c:"),
    "verifier": (
        lambda text: text.replace(
            "if (!cursor_at(&cur, skb, sizeof(struct iphdr)))",
            "cur.eth = LOAD_POINTER(data, skb); if (!cur.eth)",
        ),
        "the verifier refused from_container: ",
        # kernel/bpf/verifier.c, linfo: with file and line since 6.10.
        "bpf/rewrite.c:" if release() >= (6, 10) else "offset is outside of the packet",
    ),
}


def broken_source(directory, breaking):
    source = Path(__file__).resolve().parents[2] / "bpf" / "rewrite.c"
    broken = directory / "rewrite.c"
    broken.write_text(breaking(source.read_text(encoding="utf-8")), encoding="utf-8")
    return hiding((broken, source))


NO_CLSACT = """
from pyroute2.netlink.exceptions import NetlinkError
from harness.plumbing import netns

class WithoutClsact(netns.IPRoute):
    def tc(self, command, kind=None, *arguments, **options):
        if kind == "clsact":
            raise NetlinkError(2, "Specified qdisc kind is unknown")
        return super().tc(command, kind, *arguments, **options)

netns.IPRoute = WithoutClsact
"""

# The kernel refuses a kind it does not know, as it would veth.
NO_VETH = """
from harness.plumbing.netlink_batch import Batch

real = Batch.add

def add(self, method, command, tolerated=(), **fields):
    if fields.get("kind") == "veth":
        fields = {"kind": "unheard-of", "ifname": fields["ifname"]}
    real(self, method, command, tolerated, **fields)

Batch.add = add
"""

NO_IPV6 = """
from harness.plumbing import netns

def read_sysctls(self, keys, *_):
    path = next(f"/proc/sys/net/{key}" for key in keys if key.startswith("ipv6/"))
    raise FileNotFoundError(2, "No such file or directory", path)

netns.NetNS.read_sysctls = read_sysctls
"""

_READ_ONLY = "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys"

LACKS = {
    # Nobody may read the checkout all the same, wherever it is.
    "not root": lambda _: Lack(
        10, ("not root (uid 65534)", "use sudo"),
        ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps",
         "+dac_read_search", "--ambient-caps", "+dac_read_search", "--"),
    ),
    "namespaces forbidden": lambda _: Lack(
        10, ("cannot create the network namespace", "Operation not permitted", "seccomp"),
        seccomp(1),
    ),
    "namespaces used up": lambda _: Lack(
        10, ("cannot create the network namespace", "raise the sysctl user.max_net_namespaces"),
        ("unshare", "--user", "--map-root-user", "sh", "-c",
         'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"', "sh"),
    ),
    "no bcc": lambda tmp: Lack(
        11, ("BCC's Python module is not installed", "apt-get install python3-bpfcc"),
        hiding((tmp, DIST_PACKAGES / "bcc")),
    ),
    "PyPI's bcc": lambda tmp: Lack(
        11, ("is not BCC", "apt-get install python3-bpfcc", "pip uninstall bcc"),
        impostor(tmp, "class Crystal: pass\n"),
    ),
    "PyPI's bcc, broken": lambda tmp: Lack(
        11, ("cannot be imported", "apt-get install python3-bpfcc", "pip uninstall bcc"),
        impostor(tmp, "import a_module_that_is_not_there\n"),
    ),
    "no libbcc": lambda _: Lack(
        11, ("BCC's library cannot be loaded", "apt-get install python3-bpfcc"),
        hiding(*(("/dev/null", path.resolve()) for path in Path("/usr/lib").glob("*/libbcc.so.0"))),
    ),
    "no headers": lambda tmp: Lack(
        11, ("UAPI headers are missing", "apt-get install linux-libc-dev"),
        hiding((tmp, "/usr/include/linux")),
    ),
    "few open files": lambda _: Lack(
        10, ("only 40 files may be open", "ulimit -Hn"),
        ("sh", "-c", 'ulimit -n 40 && exec "$@"', "sh"),
    ),
    "no clsact": lambda _: Lack(
        12, ("no clsact qdisc", "CONFIG_NET_SCH_INGRESS"), patch=NO_CLSACT
    ),
    "no veth": lambda _: Lack(12, ("makes no testbed", "are veth and bridge"), patch=NO_VETH),
    "no IPv6": lambda _: Lack(
        12, ("/proc/sys/net/ipv6/", "is missing", "is IPv6 switched off?"), patch=NO_IPV6
    ),
    "/proc/sys read-only": lambda _: Lack(
        10, ("cannot be set up (Read-only file system)", "--privileged"),
        ("unshare", "--mount", "--propagation", "private", "sh", "-c",
         f'{_READ_ONLY} && exec "$@"', "sh"),
    ),
    **{f"no {tool}": tool_hidden(tool) for tool in ("tcpdump", "iptables-restore", "nft", "cat")},
    "no /sys": lambda _: Lack(
        11, ("/sys/devices/system/cpu/possible is missing", "`mount -t sysfs sysfs /sys`"),
        covered("/sys"),
    ),
}  # fmt: skip


def both(lack, directory):
    """`hostroute status --verify` and pytest under a lack, at the same time."""
    (directory / "lack.py").write_text(lack.patch, encoding="ascii")
    environment = {"PYTHONPATH": str(directory)}
    patched_cli = (sys.executable, "-c", "import lack, sys, harness.cli as c; sys.exit(c.main())")
    children = [
        start((*lack.prefix, *(patched_cli if lack.patch else CLI), "status", "--verify"),
              environment),
        start((*lack.prefix, *pytest_of("-p", "lack", *ONE_TEST)), environment),
    ]  # fmt: skip
    return [end(child) for child in children]


@pytest.fixture
def patches(tmp_path_factory):
    return tmp_path_factory.mktemp("patches")


def require_user_namespaces():
    """Skip where the kernel makes none: in a chroot (user_namespaces(7)), or switched off."""
    made = subprocess.run(
        ["unshare", "--user", "--map-root-user", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no user namespace can be made here: {made.stderr.strip()}")


@pytest.mark.parametrize("name", LACKS)
def test_a_lack_is_said_in_one_line(name, tmp_path, patches):
    lack = LACKS[name](tmp_path)
    if "--user" in lack.prefix:
        require_user_namespaces()
    cli, run = both(lack, patches)
    for ended in (cli, run):
        assert ended.code == lack.code, ended.text
        assert "Traceback" not in ended.text
        assert "INTERNALERROR" not in ended.text
        for words in lack.words:
            assert words in ended.text
    assert len(cli.err.splitlines()) == 1
    assert cli.err.startswith("hostroute: ")
    assert cli.out == ""
    said = [line for line in run.text.splitlines() if "Exit: hostroute: " in line]
    assert len(said) == 1, run.text
    assert "passed" not in run.text


def test_without_a_lack_both_succeed(patches):
    """The control: what the tests above run is not broken by itself."""
    cli, run = both(Lack(0, ()), patches)
    assert cli.code == 0, cli.text
    assert cli.out.rstrip().endswith("proven: BPF, past the node's stack")
    assert run.code == 0, run.text


@pytest.mark.parametrize("refused_by", BROKEN)
def test_a_broken_source_is_named_with_its_line(tmp_path, patches, refused_by):
    breaking, what, where = BROKEN[refused_by]
    cli, run = both(Lack(14, (), broken_source(tmp_path, breaking)), patches)
    assert cli.code == 14
    assert len(cli.err.splitlines()) == 1
    assert what in cli.err
    assert where in cli.err
    assert run.code == 1
    assert what in run.text
    assert where in run.text
    assert "Traceback" not in run.text
    assert "INTERNALERROR" not in run.text


OLD_KERNEL = """
import platform
from harness.datapath import features, probes

probe = features.probe
gone = probes.Probe(False, "unknown func")
features.probe = lambda name: gone if name == "redirect_peer" else probe(name)
platform.release = lambda: "%s"
"""


@pytest.mark.parametrize(
    ("release", "code", "outcome"), [("5.9.1", 0, "skipped"), ("5.10.0", 1, "error")]
)
def test_a_datapath_that_cannot_run(patches, release, code, outcome):
    """Skipped where the kernel is too old for the helper, an error where it is not."""
    (patches / "lack.py").write_text(OLD_KERNEL % release, encoding="ascii")
    arguments = pytest_of("-rs", "-p", "lack", *ONE_TEST, "--hr-datapath", "bpf")
    run = end(start(arguments, {"PYTHONPATH": str(patches)}))
    assert run.code == code, run.text
    assert outcome in run.text.splitlines()[-1]
    assert "bpf_redirect_peer" in run.text
    assert "Traceback" not in run.text


@pytest.mark.parametrize(
    ("release", "code", "outcome"), [("5.9.1", 0, "1 skipped"), ("5.10.0", 1, "1 failed")]
)
def test_a_testbed_that_a_test_builds_itself_cannot_run(patches, release, code, outcome):
    (patches / "lack.py").write_text(OLD_KERNEL % release, encoding="ascii")
    arguments = pytest_of(
        "-rs", "-p", "lack", "testbeds/one_node/test_router_duties.py", "--hr-datapath", "bpf",
        "-k", "hr17_time_exceeded_behind",
    )  # fmt: skip
    run = end(start(arguments, {"PYTHONPATH": str(patches)}))
    assert run.code == code, run.text
    assert outcome in run.text.splitlines()[-1]
    assert "bpf_redirect_peer" in run.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--hr-datapath", "bfp"), "datapath 'bfp' is unknown: use legacy, bpf"),
        (("--hr-legacy-services", "-1"), "legacy_services=-1 is not between 0 and 20000"),
    ],
)
def test_an_unknown_option_value(arguments, words):
    run = end(start(pytest_of(*ONE_TEST, *arguments)))
    assert run.code == 13
    assert (
        run.text.strip() == f"Exit: hostroute: {run.text.strip().removeprefix('Exit: hostroute: ')}"
    )
    assert words in run.text


@pytest.mark.parametrize(
    "test",
    [
        'def test_it(build_testbed):\n    build_testbed("three_node", None, None)\n',
        'import pytest\n@pytest.mark.datapaths("bfp")\ndef test_it(one_node, datapath): pass\n',
    ],
)
def test_a_test_that_names_what_does_not_exist(tmp_path, test):
    (tmp_path / "test_unknown.py").write_text(test, encoding="ascii")
    run = end(start(pytest_of("-q", "-p", "pytest_hostroute", str(tmp_path), rootdir=tmp_path)))
    assert run.code in (1, 2)
    assert "is unknown: use " in run.text
    assert "Traceback" not in run.text
    assert "INTERNALERROR" not in run.text


@pytest.mark.parametrize("taken", [False, True], ids=["room", "taken"])
def test_pcaps_are_kept_where_records_go_or_it_is_said_why_not(tmp_path, taken):
    if taken:
        (tmp_path / "pcaps").write_text("", encoding="ascii")
    run = end(start(pytest_of(*ONE_TEST, "--hr-keep-pcaps", "--hr-results", str(tmp_path))))
    assert run.code == 0, run.text
    assert (f"kept in {tmp_path}/pcaps" in run.text) == (not taken)
    assert ("could not be kept, the first for: " in run.text) == taken
    passed = re.search(r"(\d+) passed", run.out)
    assert passed is not None
    assert int(passed[1]) >= 3
    captured = 8 * int(passed[1])  # two for each interface
    assert len(list(tmp_path.glob("pcaps/**/*.pcap"))) == (0 if taken else captured)


NAMED = """
import pytest

@pytest.mark.parametrize(
    "number", range(3), ids=["../../../../../out", "a/../../../../../../out", "y" * 300]
)
def test_it(one_node, number):
    with one_node.capture():
        one_node.pod1.ping(one_node.pod2)
"""


def test_pcaps_stay_below_the_results_whatever_a_test_is_called(tmp_path):
    root = tmp_path / "a" / "root"  # the module lies outside: its id names none
    root.mkdir(parents=True)
    (tmp_path / "test_named.py").write_text(NAMED, encoding="ascii")
    file = str(tmp_path / "test_named.py")
    run = end(
        start(pytest_of("-q", "-p", "pytest_hostroute", "--hr-keep-pcaps", file, rootdir=root))
    )
    assert run.code == 0, run.text
    kept = list(tmp_path.rglob("*.pcap"))
    assert len(kept) == 3 * 8
    assert [path for path in kept if not path.is_relative_to(root / "results" / "pcaps")] == []


def test_every_tool_is_looked_for_in_sbin_too():
    """A user's PATH seldom has the sbin directories."""
    path = shutil.which("env")
    assert path is not None
    run = end(start((path, "PATH=/usr/bin", *CLI, "status", "--verify")))
    assert run.code == 0, run.text


def test_a_chroot_without_dev_is_named():
    """pytest makes /dev/null itself, a file like any other: the command line says what is wrong."""
    ended = end(start((*covered("/dev"), *CLI, "status")))
    assert (ended.code, ended.out) == (11, "")
    assert ended.err.startswith("hostroute: /dev/null is missing: give the container or chroot its")
    assert len(ended.err.splitlines()) == 1


def test_a_working_directory_that_was_deleted_is_named(tmp_path):
    script = f'mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec "$@"'
    ended = end(start(("sh", "-c", script, "sh", *CLI, "shell", "one_node")))
    line = "hostroute: the working directory was deleted: change to one that exists: `cd`\n"
    assert (ended.code, ended.out, ended.err) == (19, "", line)


@pytest.mark.parametrize("prints", ["", "{}", "no JSON", '{"nftables": [{"counter": {}}]}'])
def test_an_nft_that_is_none_is_named(tmp_path, prints):
    nft = tmp_path / "nft"
    nft.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{prints}'\n")
    nft.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = end(start((*CLI, "status", "--verify"), {"PATH": path}))
    assert ended.code == 11, ended.text
    assert ended.err.startswith("hostroute: `nft -j` printed ")
    assert len(ended.err.splitlines()) == 1


#: Blocks every signal that can be blocked, as a supervisor may have done, and runs a command.
MASKED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_parent_that_blocks_all_signals_makes_no_tool_deaf():
    """tcpdump inherited the mask, and waited without end for the signal to flush."""
    ended = end(start((sys.executable, "-c", MASKED, *pytest_of(*ONE_TEST))))
    assert ended.code == 0, ended.text


KILLED = """
import os, signal
from harness.plumbing import pid_namespace

def test_hr07_killed(one_node, datapath, family):
    with one_node.capture():
        os.kill(pid_namespace.first_process(), signal.SIGKILL)

def test_hr07_next(one_node, datapath, family):
    with one_node.capture() as seen:
        one_node.pod1.ping(one_node.pod2)
    assert "pod1:eth0" in str(seen.legs())
"""


def test_the_first_process_of_the_tools_is_killed(tmp_path):
    """The test whose tools died with it fails, in one line; those after it get others."""
    (tmp_path / "test_child.py").write_text(KILLED)
    arguments = ("-p", "pytest_hostroute", "--hr-datapath", "bpf", "-k", "ipv4", "-rA")
    ended = end(start(pytest_of(*arguments, str(tmp_path), rootdir=tmp_path)))
    assert "= 1 failed, 1 passed, " in ended.out, ended.text
    assert "Cannot allocate memory" not in ended.text
    assert "Traceback" not in ended.text
    assert re.search(r"^PASSED .*::test_hr07_next\[bpf-ipv4\]$", ended.out, re.M)
    assert re.search(r"^\S+: .*tcpdump", ended.out, re.M)  # one line, and no traceback


def test_results_that_cannot_be_written_are_refused_before_a_benchmark_is_collected(tmp_path):
    (tmp_path / "results").symlink_to(tmp_path / "nowhere")
    (tmp_path / "test_child.py").write_text('print("collected")\n')
    arguments = ("-p", "pytest_hostroute", "-s", "-m", "bench")
    ended = end(start(pytest_of(*arguments, str(tmp_path), rootdir=tmp_path), cwd=tmp_path))
    assert ended.code == 5, ended.text  # of another project: nothing of ours is asked for
    named = pytest_of(*arguments, "--hr-arms", "bpf,legacy", str(tmp_path), rootdir=tmp_path)
    ended = end(start(named, cwd=tmp_path))
    assert ended.code == 17, ended.text
    assert "hostroute: records cannot be written to " in ended.text
    assert "collected" not in ended.out
