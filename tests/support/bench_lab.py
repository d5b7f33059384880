# SPDX-License-Identifier: Apache-2.0
"""A laboratory without networks: arms that know how fast they are, and a measure that asks them."""

import itertools
import math
import random
from contextlib import contextmanager

from harness.bench import Arm, Campaign, Plan, Task
from harness.plumbing.errors import InapplicableError, TrafficError
from harness.results.comparison import AGAIN
from harness.topology import Family, Topology


def arm(name):
    return Arm(name, "one_node", Topology(pods_per_node=2))


class Meter:
    """A measure of made-up arms: lower is better, in ns.

    Every build of an arm has an offset of its own, as real ones have.
    """

    name, unit, better = "made up", "ns", "lower"

    def __init__(self, lab, builds=28, rounds=3, what="a thing", apply=None, without=()):
        self.lab, self.plan, self.what, self.only = lab, Plan(builds, rounds), what, apply
        self.without = set(without)  # datapaths that turn out to have nothing to measure

    def describe(self):
        return self.what

    def shown(self, value):
        return f"{value:.0f} ns"

    def applies(self, asked):
        return self.only is None or asked.datapath in self.only

    def value(self, samples):
        return samples[0]

    @contextmanager
    def opened(self, built, _family):
        self.lab.opened.append((self.what, built.arm.datapath))
        if built.arm.datapath in self.without:
            raise InapplicableError("no program attached at master:lxc1 ingress")
        yield lambda: self.lab.sample(self.what, built)


class Lab:
    """Makes arms, and decides how fast they are.

    Attributes:
        typical: Datapath → ns.
        fails: (measure, how many turns it gives) that then fails.
        compiling: Datapath → seconds that its first build takes longer.
    """

    def __init__(self, monkeypatch, typical, spread=0.005):
        self.typical, self.spread = typical, spread
        self.chance = random.Random(1)
        self.built, self.closed, self.opened, self.turns = [], [], [], []
        self.fails = {}
        self.seconds = 0.0
        self.costs, self.compiling = {}, {}
        self.names = itertools.repeat("bpf (tags)")
        lab = self

        class Built:
            network = None

            def __init__(self, asked):
                self.arm = asked
                self.offset = lab.chance.gauss(0, lab.spread)
                lab.built.append(asked.datapath)
                lab.seconds += lab.compiling.pop(asked.datapath, 0.0)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                lab.closed.append(self.arm.datapath)

            def describe(self):
                return {"master": next(lab.names)}

        monkeypatch.setattr(Arm, "build", lambda asked: Built(asked))  # noqa: PLW0108 - a class would not be bound
        monkeypatch.setattr(Arm, "pod_device", "veth")
        for user in ("campaign", "growth_runner"):
            monkeypatch.setattr(f"harness.bench.{user}.network_facts", lambda _: {})
        monkeypatch.setattr("time.monotonic", lambda: self.seconds)

    def sample(self, what, built):
        self.turns.append((what, built.arm.datapath))
        self.seconds += self.costs.get(what, 0.001)
        left = self.fails.get(what)
        if left is not None:
            if left == 0:
                raise TrafficError(f"{what}: the link went down")
            self.fails[what] = left - 1
        typical = self.typical[built.arm.datapath or "limit"]
        return [typical * math.exp(built.offset + self.chance.gauss(0, self.spread / 4))]

    def campaign(self, *measures, arms=("legacy", "bpf"), seed=1, **options):
        tasks = [Task(measure.what, measure, Family.ipv4) for measure in measures]
        return Campaign("one_node", {name: arm(name) for name in arms}, tasks, seed, **options)


class Unseen:
    """A watcher whose terminal is gone."""

    def step(self, *_):
        raise OSError(5, "Input/output error")

    finished = point = drawn = step


AGAIN_BPF = "bpf" + AGAIN
