# SPDX-License-Identifier: Apache-2.0
"""The one error base: what was wrong, with which value, and what to do.

Exit codes start at 10 so that they never clash with pytest's own (0 to 5).
"""

from __future__ import annotations

from harness.plumbing.printable import one_line


class HarnessError(Exception):
    """An error a user can act on; printed as one line, never as a traceback.

    Its words may quote a file's name, a record, a tool or a guest: `str` of it is safe to print.

    Args:
        what: What is wrong, with the offending value.
        todo: What to do about it.
    """

    exit_code = 19

    def __init__(self, what: str, todo: str = "") -> None:
        self.what = what
        self.todo = todo
        super().__init__(one_line(f"{what}: {todo}" if todo else what))


def reason(error: BaseException) -> str:
    """An error in one line: ours and the system's in their own words, any other with its class."""
    return one_line(str(error) if isinstance(error, (HarnessError, OSError)) else repr(error))


class PrivilegeError(HarnessError):
    """The process is not root, or lacks a capability, or the kernel refused a namespace."""

    exit_code = 10


class MissingToolError(HarnessError):
    """A program, a library or a header the harness needs is not installed."""

    exit_code = 11


class KernelError(HarnessError):
    """The running kernel lacks something that no degradation can replace."""

    exit_code = 12


class UnknownNameError(HarnessError):
    """A datapath, a testbed or an option's value is not one of the known ones."""

    exit_code = 13


class RegistryError(UnknownNameError):
    """A package registered something that clashes, or failed while registering."""


class BuildError(HarnessError):
    """A BPF program did not compile or did not pass the verifier.

    Attributes:
        log: The compiler's or the verifier's whole text.
    """

    exit_code = 14

    def __init__(self, what: str, todo: str = "", log: str = "") -> None:
        super().__init__(what, todo)
        self.log = log


class CommandError(HarnessError):
    """A child process failed; carries the command, its output and its errors."""

    exit_code = 15

    def __init__(self, argv: list[str], status: int | str, stdout: str, stderr: str) -> None:
        self.argv, self.status, self.stdout, self.stderr = argv, status, stdout, stderr
        text = (stderr.strip() or stdout.strip() or "no output").replace("\n", " | ")
        super().__init__(f"command `{' '.join(argv)}` ended with {status}: {text}")


class CaptureError(HarnessError):
    """A capture could not be started, or could not be proven complete."""

    exit_code = 16


class RecordError(HarnessError):
    """A result file cannot be read, is not ours, or cannot be written."""

    exit_code = 17


class TrafficError(HarnessError):
    """A traffic tool (not the datapath under test) failed or overran its deadline."""

    exit_code = 18


class InapplicableError(TrafficError):
    """A measure does not apply to a datapath, and why: nothing failed."""


class KernelSourceError(HarnessError):
    """A kernel to boot cannot be had: no such version, no mirror, a wrong signature, no image."""

    exit_code = 22


class GuestError(HarnessError):
    """A virtual machine could not be started, or did not come to its end."""

    exit_code = 23


class AgentError(HarnessError):
    """A datapath's agent did not start, answer, or last, or answered something wrong.

    Attributes:
        log: The last that it wrote to stderr.
    """

    exit_code = 27

    def __init__(self, what: str, todo: str = "", log: str = "") -> None:
        super().__init__(what, todo)
        self.log = log


class UnlikeError(HarnessError):
    """Two records were to be compared whose machines, kernels, rules or settings are unlike."""

    exit_code = 25


# Answers of the command line that are no errors.
LEGACY = 20
NOT_PROVEN = 21
FAILED_ON_KERNEL = 24
REGRESSED = 26

EXIT_CODES: dict[int, str] = {
    10: "not root, a capability missing, or a namespace refused",
    11: "a program, library or header is not installed",
    12: "the kernel lacks something that no degradation can replace",
    13: "unknown datapath, testbed or option value, or a description (`--bring`) that is wrong",
    14: "a BPF program did not compile, is no ELF object, or was refused by the verifier",
    15: "a child process failed",
    16: "a capture could not be started or proven complete",
    17: "a result file cannot be read, is not ours, or cannot be written",
    18: "a traffic tool failed or overran its deadline",
    19: "any other error of the harness",
    LEGACY: "BPF was required and host routing is Legacy or mixed"
    " (`hostroute status` and `inspect --require bpf`)",
    NOT_PROVEN: "BPF was claimed and not proven (`hostroute status --verify`), or required and not"
    " seen (`hostroute inspect --require bpf`)",
    22: "a kernel cannot be had: no such version, no mirror, a wrong signature, no image in it",
    23: "a virtual machine could not be started, panicked, hung or ran out of room",
    FAILED_ON_KERNEL: "failed on one kernel or more (`hostroute kernels run`, `features`, `bench`)",
    25: "records of unlike machines, kernels, rules or settings were to be compared",
    REGRESSED: "worse than the base, or something of it missing (`hostroute results gate`)",
    27: "an agent that was brought along did not start, answer or last, or answered wrongly",
}
