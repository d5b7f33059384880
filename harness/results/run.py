# SPDX-License-Identifier: Apache-2.0
"""A run: what one pytest run, or one count of instructions, measured and asserted."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from harness.results.assertion import Assertion, TestOutcome
from harness.results.comparison import Comparison, Gain
from harness.results.growth import Growth
from harness.results.implementation import Implementation
from harness.results.part import Family, Moment, Part, Partial, PodDevice, Text

FORMAT = "hostroute-record"
COLLECTION = "hostroute-records"
VERSION: Literal[2] = 2
Hash = Annotated[str, Meta(pattern=r"^([0-9a-f]{16})?$")]


class Git(Part, frozen=True, kw_only=True):
    """State of the checkout that the run was started in.

    Attributes:
        commit: HEAD; None: not a checkout, or git is not installed.
        dirty: Whether files differed from the commit, or were new and not ignored; None: not known.
    """

    commit: Annotated[str, Meta(pattern=r"^[0-9a-f]{40,64}$")] | None
    dirty: bool | None


class MachineFacts(Part, frozen=True, kw_only=True):
    """The machine, its kernel, and the software of the run. An empty text: not known.

    Attributes:
        kernel: Release, as `uname -r` has it.
        kernel_version: Build, as `uname -v` has it.
        cmdline: /proc/cmdline.
        architecture: As `uname -m` has it.
        cpu_model: `model name` of /proc/cpuinfo.
        cpus: How many CPUs the machine has.
        cpus_allowed: Numbers of those that the run might use.
        virtualised: Whether the CPU reports a hypervisor.
        governor: cpufreq's scaling governor of CPU 0.
        sysctls: Of the machine's own network namespace.
        python: Its version.
        packages: Version by name of the Python package.
        boot_id: Equal only within one boot.
        machine_id_hash: Keyed hash of /etc/machine-id: tells machines apart and names none.
        accelerator: In a virtual machine that hostroute booted: what ran its CPU.
    """

    kernel: Text
    kernel_version: str
    cmdline: str
    architecture: str
    cpu_model: str
    cpus: Annotated[int, Meta(ge=1)] | None
    cpus_allowed: list[Annotated[int, Meta(ge=0)]]
    virtualised: bool
    governor: str
    sysctls: dict[str, str]
    python: str
    packages: dict[str, str]
    boot_id: str
    machine_id_hash: Hash
    accelerator: Literal["", "kvm", "emulation"]


class ExactFigure(Part, frozen=True, kw_only=True):
    """A figure counted in instructions, under QEMU's instruction counting: no time.

    Attributes:
        datapath: Its name.
        family: Of the packets' addresses.
        testbed: Its name.
        figure: What was counted, such as `round trip`.
        value: How many.
        unit: Of what.
        pod_device: What joined pods to their nodes; None: not recorded.
    """

    datapath: str
    family: Family
    testbed: str
    figure: str
    value: float
    unit: str
    pod_device: PodDevice | None = None


class Run(Part, frozen=True, kw_only=True, tag_field="format", tag=FORMAT):
    """A record: what a run measured and asserted, with everything needed to read it.

    Attributes:
        id: Name of the run, unique: UTC time of writing, kernel release, six hexadecimal digits.
        harness: Version of hostroute that made the record.
        started: When the run began.
        ended: When it ended.
        partial: Why it did not come to its end.
        command: The program, then its arguments.
        git: The checkout.
        seed: Decides the order of builds and rounds; None: nothing was measured.
        machine: Where.
        comparisons: What was measured of arms against each other, in the order in which it ended.
        summary: Geometric means over them.
        growth: Curves.
        conformance: What became of every test of the catalogue.
        exact: What was counted in instructions.
        others: What became of the tests that assert no entry of the catalogue.
        datapaths: What was judged or compared: every datapath of a test or an arm.
        batch: What the runs of one `hostroute kernels` command that took one kernel after the other
            have in common.
    """

    version: Literal[2]
    id: Annotated[str, Meta(pattern=r"^run-[0-9]{8}T[0-9]{6}Z-.+-[0-9a-f]{6}$")]
    harness: str
    started: Moment
    ended: Moment
    partial: Partial
    command: list[str]
    git: Git
    seed: Annotated[int, Meta(ge=0)] | None
    machine: MachineFacts
    comparisons: list[Comparison]
    summary: list[Gain]
    growth: list[Growth]
    conformance: list[Assertion]
    exact: list[ExactFigure]
    others: list[TestOutcome] = field(default_factory=list)
    datapaths: list[Implementation] = field(default_factory=list)
    batch: Text | None = None

    @property
    def kernel(self) -> str:
        """The kernel's release."""
        return self.machine.kernel

    @property
    def source(self) -> str:
        """The checkout: its commit; with changes, that of one `hostroute kernels` or of one run."""
        commit = self.git.commit or ""
        return f"{commit} {self.batch or self.id}" if self.git.dirty else commit

    @property
    def tests(self) -> list[TestOutcome]:
        """Every test of the run."""
        return [*self.conformance, *self.others]


class Collection(Part, frozen=True, kw_only=True, tag_field="format", tag=COLLECTION):
    """Records of several runs in one file; no two have the same id."""

    version: Literal[2]
    records: list[Run]
