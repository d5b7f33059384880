# SPDX-License-Identifier: Apache-2.0
"""What a report needs of a record: small, clean, without the raw samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from harness.results import Document

Facts = Mapping[str, object]

LIMIT = "limit"  # the arm without a datapath


@dataclass(frozen=True)
class Arm:
    """One arm of a comparison.

    Attributes:
        label: Its name in the record: `bpf`, `limit`, `bpf again`.
        datapath: What forwards; empty: nothing stands between the pods.
        again: Whether it is the second build of another arm, which measures the noise.
        nodes: Node → whole name of what ran there.
        hosts: Host → sysctls and interfaces, as built.
        settings: What was asked of the node.
        typical: Median of the values of all rounds, in the measure's unit; None: no value.
        builds: Median of each build's rounds, in the measure's unit.
        percentiles: `p50`, `p99.9` → value over all samples.
        quantiles: Share of the samples → value, for the distribution; empty where samples are few.
        samples: How many raw samples there were.
        extra: Name of a side figure → its median.
    """

    label: str
    datapath: str
    again: bool
    nodes: Mapping[str, str]
    hosts: Facts
    settings: Facts
    typical: float | None
    builds: tuple[float, ...]
    percentiles: Mapping[str, float | None]
    quantiles: tuple[tuple[float, float], ...]
    samples: int
    extra: Mapping[str, float]


@dataclass(frozen=True)
class Verdict:
    """What was concluded of an arm against the baseline. Unknown figures are None."""

    arm: str
    against: str
    verdict: str
    ratio: float | None
    low: float | None
    high: float | None
    p_value: float | None
    noise: float | None
    builds: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A measure on a testbed and a family, with all its arms."""

    measure: str
    title: str
    described: str
    unit: str
    better: str
    testbed: str
    family: str
    baseline: str
    partial: str
    arms: Mapping[str, Arm]
    verdicts: tuple[Verdict, ...]

    @property
    def name(self) -> str:
        """The measure in words."""
        return f"{self.title} {self.described}".strip()

    @property
    def full_name(self) -> str:
        """The same with testbed and family, in the order of `harness.results.compare`."""
        return f"{self.title} {self.testbed} {self.family} {self.described}"

    @property
    def shown_arms(self) -> list[Arm]:
        """The arms that a reader compares: without those that only measure the noise."""
        return [arm for arm in self.arms.values() if not arm.again]

    def verdict_of(self, label: str) -> Verdict | None:
        """The verdict on an arm; None for the baseline, the limit and what is unfinished."""
        return next((found for found in self.verdicts if found.arm == label), None)

    def share_of_limit(self, arm: Arm) -> float | None:
        """How much of what the bare wire allows the arm reaches; 1 is all of it.

        Only builds that stood side by side are compared: the limit has the first few.
        """
        limit = self.arms.get(LIMIT)
        pairs = zip(arm.builds, limit.builds if limit is not None else (), strict=False)
        shares = [mine / best for mine, best in pairs if mine and best]
        if not shares:
            return None
        share = median(shares)
        return 1 / share if self.better == "lower" else share


@dataclass(frozen=True)
class Mean:
    """A geometric mean of speed-ups over measures; more than 1 is better."""

    arm: str
    against: str
    testbed: str
    gain: float | None
    low: float | None
    high: float | None
    measures: int


@dataclass(frozen=True)
class Fit:
    """A growth fitted to a curve; the slope is for each pod or service, known of a constant too."""

    model: str
    intercept: float | None
    slope: float | None
    low: float | None
    high: float | None

    def at(self, x: float) -> float | None:
        """The fitted value; a constant has one, whatever slope was found in the noise."""
        if self.intercept is None or self.model == "constant":
            return self.intercept
        return self.intercept + (self.slope or 0.0) * x


@dataclass(frozen=True)
class Point:
    """The values at one size: their median, the least and the greatest."""

    x: float
    typical: float
    least: float
    most: float
    values: int


@dataclass(frozen=True)
class Growth:
    """A measure against the number of pods or of services."""

    measure: str
    name: str
    unit: str
    better: str
    testbed: str
    family: str
    over: str
    points: Mapping[str, tuple[Point, ...]]
    fits: Mapping[str, Fit]
    partial: str


@dataclass(frozen=True)
class Check:
    """One test of the catalogue. `datapath` and `family` are empty where they do not apply."""

    id: str
    test: str
    testbed: str
    datapath: str
    family: str
    outcome: str
    reason: str
    degraded: tuple[str, ...]
    legs: tuple[str, ...]
    observed: Mapping[str, str]


@dataclass(frozen=True)
class Exact:
    """A figure counted in instructions, which machines and load do not move."""

    datapath: str
    family: str
    testbed: str
    figure: str
    value: float
    unit: str


@dataclass(frozen=True)
class Run:
    """One record.

    Attributes:
        batch: What the runs of one `hostroute kernels` command have in common; empty: unknown.
        document: The record itself, without its raw samples.
    """

    id: str
    batch: str
    harness: str
    started: str
    ended: str
    partial: str
    command: tuple[str, ...]
    commit: str
    dirty: bool | None
    seed: str
    machine: Facts
    document: Document
    comparisons: tuple[Comparison, ...] = ()
    means: tuple[Mean, ...] = ()
    growth: tuple[Growth, ...] = ()
    checks: tuple[Check, ...] = ()
    exact: tuple[Exact, ...] = ()

    @property
    def source(self) -> str:
        """The checkout: its commit; with changes, that of one `hostroute kernels` or of one run."""
        return f"{self.commit} {self.batch or self.id}" if self.dirty else self.commit

    @property
    def kernel(self) -> str:
        """The kernel's release."""
        return str(self.machine.get("kernel") or "unknown kernel")


@dataclass(frozen=True)
class Report:
    """All that is drawn.

    Attributes:
        runs: In the order of their start.
        titles: Id of an assertion → what it asserts, in the catalogue's order.
        later: Id of an assertion → why no test asserts it yet.
        unread: Files that could not be read, and why; clean texts.
    """

    runs: tuple[Run, ...]
    titles: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
