# SPDX-License-Identifier: Apache-2.0
"""A comparison: two or more arms under one measure, and what is concluded of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain
from statistics import median
from typing import Annotated, Literal

from msgspec import Meta, field
from msgspec.structs import replace

from harness.results import formulas, units
from harness.results.part import Better, Count, Facts, Family, Part, Partial, PodDevice, Text

#: Label of the arm without a datapath: two namespaces joined by one veth pair, nothing between.
LIMIT = "limit"
#: What stands behind the label of an arm that is measured once more, as the noise.
AGAIN = " again"
FASTER: Literal["faster"] = "faster"
SLOWER: Literal["slower"] = "slower"
NO_DIFFERENCE: Literal["no difference found"] = "no difference found"
#: In a conclusion's stead where a comparison did not come to its end, whatever its record says.
PARTIAL: Literal["partial"] = "partial"
Conclusion = Literal["faster", "slower", "no difference found"]


class Interface(Part, frozen=True, kw_only=True):
    """An interface as built: its MTU in bytes, and the offloads that are on."""

    mtu: int | None
    qdisc: str | None
    offloads: list[str]


class HostFacts(Part, frozen=True, kw_only=True):
    """What a host's kernel was told."""

    sysctls: dict[str, str]
    interfaces: dict[str, Interface]


class Built(Part, frozen=True, kw_only=True):
    """What was asked for of an arm, and what was built.

    Attributes:
        datapath: Its name; None: the limit.
        settings: What every node's operator asked for.
        topology: What the testbed is made of.
        nodes: Node → whole name of what ran there: rules by count and digest, or programs by tag.
        hosts: Host → its sysctls and interfaces.
        pod_device: What joined pods to their nodes; None: the limit, or not recorded.
    """

    datapath: str | None
    settings: Facts
    topology: Facts
    nodes: dict[str, str]
    hosts: dict[str, HostFacts]
    pod_device: PodDevice | None = None


class Arm(Built, frozen=True, kw_only=True):
    """One datapath's series of measurements, and what it was taken with.

    Attributes:
        again: Whether it is another arm built once more, as the noise floor.
        samples: Raw, in the measure's unit, [build][round][sample].
        values: [build][round]: the one number that stands for a round.
        percentiles: `p50`, `p99.9` → value over all samples; empty where samples are too few.
        extra: Side figures of the measure, by name.
    """

    again: bool
    samples: list[list[list[float]]]
    values: list[list[float]]
    percentiles: dict[Annotated[str, Meta(pattern=r"^p[0-9]{1,2}(\.[0-9]+)?$")], float]
    extra: Facts = field(default_factory=dict)

    @property
    def typical(self) -> float | None:
        """The median over all rounds, in the measure's unit; None: no value."""
        return formulas.typical(self.values)

    @property
    def builds(self) -> list[float]:
        """For each build the median over its rounds."""
        return formulas.of_builds(self.values)

    @property
    def measured(self) -> bool:
        """Whether there is any value."""
        return any(self.values)

    @property
    def has_ratio(self) -> bool:
        """Whether there are values, and each of them is one of which a ratio can be made."""
        return self.measured and min(chain.from_iterable(self.values)) > 0

    @property
    def flat(self) -> list[float]:
        """Every sample, in the order in which they were taken."""
        return [sample for build in self.samples for turn in build for sample in turn]

    def ratios_to(self, other: Arm) -> list[float]:
        """For each build that both have, the median ratio of their paired rounds.

        Of one of them that has more builds or rounds the first count: the limit has a few only.

        Raises:
            TrafficError: A value is not a positive number.
        """
        pairs = [
            (mine[: len(others)], others[: len(mine)])
            for mine, others in zip(self.values, other.values, strict=False)
            if mine and others
        ]
        return formulas.paired_ratios([a for a, _ in pairs], [b for _, b in pairs])

    @property
    def side_figures(self) -> dict[str, float]:
        """Name of a side figure → its median; what holds no number is left out."""
        found = {name: list(_numbers(values)) for name, values in self.extra.items()}
        return {name: median(values) for name, values in found.items() if values}


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, list):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value


def inapplicable_lines(reasons: Mapping[str, str]) -> list[str]:
    """Label of an arm → why a measure does not apply to it, as a line for each reason."""
    found: dict[str, list[str]] = {}
    for label, why in reasons.items():
        found.setdefault(why, []).append(label)
    return [f"does not apply to {', '.join(labels)}: {why}" for why, labels in found.items()]


class Verdict(Part, frozen=True, kw_only=True):
    """What is concluded of one arm against another of the same comparison.

    Attributes:
        arm: Label of an arm of the comparison.
        against: Label of another.
        conclusion: Whether it is faster, slower, or no difference was found.
        ratio: Arm to against in the measure's unit, median over the builds: where lower is better,
            less than 1 is faster. None, here and below: not known.
        low: Lower end of its interval.
        high: Upper end.
        p_value: Of the rank test over the builds, two-sided.
        noise: Noise floor, as a share: how far from 1 the interval of A against A reaches.
        builds: How many pairs it rests on.
        warnings: What weakens it, in words.
    """

    arm: str
    against: str
    conclusion: Conclusion = field(name="verdict")
    ratio: float | None
    low: float | None
    high: float | None
    p_value: float | None
    noise: Annotated[float, Meta(ge=0)] | None
    builds: Count
    warnings: list[str]

    @property
    def figures(self) -> str:
        """The ratio and its interval, without what is concluded from them."""
        return f"ratio {units.estimate(self.ratio, self.low, self.high)}"

    def __str__(self) -> str:
        evidence = (
            f"noise floor {units.noise(self.noise)}, p {units.p_value(self.p_value)},"
            f" {units.count(self.builds, 'build')}"
        )
        return f"{self.figures}, {self.conclusion} ({evidence})" + "".join(
            f"; warning: {warning}" for warning in self.warnings
        )


class Comparison(Part, frozen=True, kw_only=True):
    """Two or more arms under one measure, in interleaved rounds of one run.

    Attributes:
        measure: Key of the measure, such as `round-trip-udp-1`.
        title: What is measured, for people.
        described: Protocol, size and whatever else it was done with, for people.
        unit: Of every sample and value.
        better: Whether lower or higher values are better.
        testbed: Its name.
        family: Of the traffic's addresses.
        baseline: Label of the arm that the others are compared with; not in `arms` if nothing was
            measured.
        seed: What decided the order of builds and rounds.
        plan: How much was to be measured.
        criteria: When a difference counts.
        partial: Why it did not come to its end.
        arms: By label. The limit, and the arm that is there twice, have no verdict.
        verdicts: On the others. Of a partial comparison nothing is concluded: see `conclusion`.
        inapplicable: Label of an arm that the measure does not apply to → why, in words. It is not
            in `arms`, and nothing failed.
        given_up: Whether it is partial for want of time alone: nothing failed.
    """

    measure: Text
    title: str
    described: str
    unit: str
    better: Better
    testbed: Text
    family: Family
    baseline: str
    seed: str
    plan: Facts
    criteria: Facts
    partial: Partial
    arms: dict[str, Arm]
    verdicts: list[Verdict]
    inapplicable: dict[str, Text] = field(default_factory=dict)
    given_up: bool = False

    @property
    def name(self) -> str:
        """The measure in words."""
        return f"{self.title} {self.described}".strip()

    @property
    def place(self) -> str:
        """Where it was measured, and over what."""
        return f"{self.testbed} {self.family}"

    @property
    def full_name(self) -> str:
        """What was compared, whole."""
        return f"{self.title} {self.place} {self.described}"

    @property
    def shown_arms(self) -> dict[str, Arm]:
        """The arms that a reader compares: without those that only measure the noise."""
        return {label: arm for label, arm in self.arms.items() if not arm.again}

    @property
    def judged(self) -> list[Verdict]:
        """The verdicts on datapaths: not that on the limit, nor on the noise's arm."""
        unjudged = {LIMIT} | {label for label, arm in self.arms.items() if arm.again}
        return [verdict for verdict in self.verdicts if verdict.arm not in unjudged]

    def verdict_of(self, label: str) -> Verdict | None:
        """The verdict on an arm; None: for the baseline, the noise and what came to nothing."""
        return next((verdict for verdict in self.verdicts if verdict.arm == label), None)

    def conclusion(self, verdict: Verdict) -> str:
        """What follows from a verdict: nothing from one of a comparison that broke off."""
        return verdict.conclusion if self.partial is None else PARTIAL

    def beats(self, arm: str, against: str) -> bool:
        """Whether it came to its end, one of the two is the baseline, and `arm` is faster."""
        if self.baseline not in (arm, against):
            return False
        other, wanted = (arm, FASTER) if against == self.baseline else (against, SLOWER)
        verdict = self.verdict_of(other)
        return verdict is not None and self.conclusion(verdict) == wanted

    def share_of_limit(self, label: str) -> float | None:
        """How near an arm comes to what the bare wire allows: 1 is all of it; None: not known."""
        limit, arm = self.arms.get(LIMIT), self.arms.get(label)
        if limit is None or arm is None or not (limit.has_ratio and arm.has_ratio):
            return None
        ratios = arm.ratios_to(limit)
        return formulas.speed_up(formulas.centre(ratios), self.better) if ratios else None

    @property
    def noise(self) -> float | None:
        """The largest noise floor of its verdicts on datapaths."""
        return max((v.noise for v in self.judged if v.noise is not None), default=None)

    @property
    def without(self) -> list[str]:
        """A line for each reason why the measure does not apply to some arms."""
        return inapplicable_lines(self.inapplicable)

    def __str__(self) -> str:
        shown = ", ".join(
            f"{label} {units.shown(arm.typical, self.unit)}"
            for label, arm in self.shown_arms.items()
        )
        parts = [f"{self.full_name}: {shown or 'nothing measured'}"]
        several = len(self.verdicts) > 1
        for verdict in self.verdicts:
            head = f"{verdict.arm} against {verdict.against}: " if several else ""
            parts.append(f"{head}{verdict if self.partial is None else verdict.figures}")
        parts += self.without
        if self.partial is not None:
            parts.append(f"partial: {self.partial}")
        return "; ".join(parts)

    def __repr__(self) -> str:  # for a failed assertion: samples would fill the screen
        return f"<{self}>"

    def without_samples(self) -> Comparison:
        """The same without the raw samples, of which a record has millions."""
        arms = {label: replace(arm, samples=[]) for label, arm in self.arms.items()}
        return replace(self, arms=arms)

    def flaws(self) -> Iterator[str]:
        """What its parts say of each other that is not so, each with its place within."""
        named = [*chain.from_iterable((verdict.arm, verdict.against) for verdict in self.verdicts)]
        if not self.partial and (self.arms or not self.inapplicable):
            named.append(self.baseline)
        absent = [label for label in named if label not in self.arms]
        yield from (f": names an arm {label!r} that it does not have" for label in absent)
        for label, arm in self.arms.items():
            if list(map(len, arm.values)) != list(map(len, arm.samples)):
                yield f".arms.{label}: values are not one for each round of its samples"
        for verdict in self.verdicts if not (self.partial or absent) else []:
            pair = (verdict.arm, verdict.against)
            if len({tuple(map(len, self.arms[label].values)) for label in pair}) > 1:
                yield f": {' and '.join(pair)} differ in their numbers of builds or rounds"


class Gain(Part, frozen=True, kw_only=True):
    """How much better an arm is over many measures: the geometric mean of its speed-ups.

    Attributes:
        arm: Its label.
        against: Label of the arm it is compared with.
        testbed: The testbed's name, or `all`.
        gain: More than 1 is better, whatever the measures' directions. None, as below: not known.
        low: Lower end of its interval at 0.95.
        high: Upper end.
        measures: How many comparisons went into it.
    """

    arm: str
    against: str
    testbed: str
    gain: float | None
    low: float | None
    high: float | None
    measures: Count

    def __str__(self) -> str:
        return f"{units.estimate(self.gain, self.low, self.high)} times {self.against}"


#: The testbed of a gain over all of them.
ALL = "all"


def known(value: float) -> float | None:
    """A number for a record; what is without end is not known there."""
    return value if math.isfinite(value) else None
