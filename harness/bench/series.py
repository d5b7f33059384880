# SPDX-License-Identifier: Apache-2.0
"""What is to be compared, and what was measured of each arm of it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TypedDict

from harness import results
from harness.bench.arms import Arm
from harness.bench.measures import Measure
from harness.bench.measures.samples import Sampler
from harness.bench.rounds import Series, Turns
from harness.plumbing.errors import InapplicableError
from harness.results.comparison import HostFacts
from harness.results.formulas import percentiles
from harness.results.part import Facts, PodDevice
from harness.testbed import Testbed
from harness.topology import Family

#: Why a measure's `applies` says no: it goes by what an arm claims.
UNCLAIMED = "it does not claim what is measured"


@dataclass(frozen=True)
class Task:
    """What is to be compared: a measure in one address family.

    Attributes:
        key: The measure's key in `harness.bench.MEASURES`.
        measure: The measure.
        family: The address family of the traffic.
    """

    key: str
    measure: Measure
    family: Family

    def __str__(self) -> str:
        return f"{self.measure.name} {self.measure.describe()} {self.family.name}"


@dataclass
class ArmSeries:
    """One arm's share of a comparison.

    Attributes:
        arm: What was asked for.
        nodes: Node → the datapath's whole name, as built.
        hosts: Host → sysctls and interfaces, as built.
        samples: Raw, in the measure's unit, [build][round][sample].
        values: The one number of every turn, [build][round].
        extra: Side figures of the measure, by name; one for each turn.
    """

    arm: Arm
    nodes: dict[str, str]
    hosts: dict[str, HostFacts]
    samples: Series = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    extra: dict[str, list[float]] = field(default_factory=dict)

    def note(self, turns: Turns) -> None:
        """Keep the side figures that a build's turns carry."""
        for turn in turns:
            for name, value in getattr(turn, "extra", {}).items():
                self.extra.setdefault(name, []).append(value)

    def finished(self, again: bool) -> results.Arm:
        """It, for a record.

        Args:
            again: Whether it is another arm built once more, as the noise.
        """
        flat = [sample for build in self.samples for turn in build for sample in turn]
        return results.Arm(
            **asked(self.arm), nodes=self.nodes, hosts=self.hosts, again=again,
            samples=self.samples, values=self.values, percentiles=percentiles(flat),
            extra=dict(self.extra),
        )  # fmt: skip


def opened(
    stack: ExitStack, task: Task, built: Mapping[str, Testbed], arms: Mapping[str, Arm],
    inapplicable: dict[str, str], measured: Container[str],
) -> dict[str, Sampler]:  # fmt: skip
    """Open a measure on every arm that it applies to.

    Args:
        stack: Closes what was opened.
        task: The measure, and the family of its traffic.
        built: Label → the arm's testbed.
        arms: Label → the arm.
        inapplicable: Label → why it does not apply; what is found out now is added.
        measured: Labels of arms that were measured before: to these it does apply.

    Returns:
        Label → what takes a turn.

    Raises:
        HarnessError: The traffic failed.
    """
    samplers: dict[str, Sampler] = {}
    for label, testbed in built.items():
        if label in inapplicable or not task.measure.applies(arms[label]):
            continue
        try:
            samplers[label] = stack.enter_context(task.measure.opened(testbed, task.family))
        except InapplicableError as error:
            if label in measured:  # something is amiss with this build
                raise
            inapplicable[label] = str(error)
    return samplers


class Asked(TypedDict):
    """What was asked for of an arm, as a record has it."""

    datapath: str | None
    settings: Facts
    topology: Facts
    pod_device: PodDevice | None


def asked(arm: Arm) -> Asked:
    """What was asked for of an arm; the limit has no node that could be asked."""
    settings = {} if arm.datapath is None else arm.settings.facts()
    return {
        "datapath": arm.datapath, "settings": settings, "topology": asdict(arm.topology),
        "pod_device": arm.pod_device,
    }  # fmt: skip
