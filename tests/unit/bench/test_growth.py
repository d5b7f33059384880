# SPDX-License-Identifier: Apache-2.0
"""Curves: what is called growth, and how they are measured."""

import random

import pytest
from msgspec import to_builtins

from harness.bench import AXES, Curves, Task, fit
from harness.topology import Family
from tests.support.bench_lab import Lab, Meter, Unseen, arm

COUNTS = (0, 100, 1000, 10_000)


def values(slope, spread=0.01, builds=4, seed=1):
    chance = random.Random(seed)
    return {
        x: [(5000 + slope * x) * chance.gauss(1, spread) for _ in range(builds)] for x in COUNTS
    }


def test_a_line_is_found_with_its_interval():
    found = fit(values(2.0))
    assert found.model == "linear"
    assert found.low < 2.0 < found.high
    assert found.slope == pytest.approx(2.0, rel=0.05)
    assert found.intercept == pytest.approx(5000, rel=0.02)


def test_noise_is_no_growth():
    models = [fit(values(0.0, seed=seed)).model for seed in range(40)]
    assert models.count("linear") <= 3


def test_growth_too_small_to_matter_is_none():
    found = fit(values(0.002, spread=1e-5))
    assert found.low > 0
    assert found.model == "constant"
    assert found.intercept == pytest.approx(5000, rel=0.01)


def test_one_build_gone_astray_does_not_bend_it():
    points = values(2.0)
    points[10_000][0] *= 30
    assert fit(points).slope == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("points", [{0: [1.0] * 9}, {0: [1.0, 1.0], 10: [1.0, 1.0]}, {}])
def test_too_little_is_no_fit(points):
    assert fit(points) is None


@pytest.fixture
def lab(monkeypatch):
    return Lab(monkeypatch, {"legacy": 1000, "bpf": 700})


def curves(lab, *measures, over="services", **options):
    tasks = [Task(measure.what, measure, Family.ipv4) for measure in measures or [Meter(lab)]]
    arms = {name: arm(name) for name in ("legacy", "bpf")}
    return Curves("one_node", arms, AXES[over], tasks, 1, **options)


def test_every_arm_is_built_at_every_point_in_every_pass(lab):
    (growth,) = curves(lab).run()
    assert growth.partial is None
    assert {label: [len(point.values) for point in points]
            for label, points in growth.points.items()} == {
        "legacy": [6, 6, 6], "bpf": [6, 6, 6]
    }  # fmt: skip
    assert len(lab.built) == len(lab.closed) == 2 + 2 * 3 * 6  # once before, to compile
    assert growth.fits["bpf"].model == "constant"
    assert growth.sizes == [0, 100, 1000]


def test_an_axis_changes_what_it_counts_and_nothing_else():
    base = arm("legacy")
    assert AXES["services"].at(base, 1000).settings.legacy_services == 1000
    assert AXES["services"].at(base, 1000).topology == base.topology
    many = AXES["pods"].at(base, 100).topology
    assert many.pods_on(1) == 100
    assert many.pods_on(2) == base.topology.pods_per_node


def test_of_a_rate_the_time_of_one_is_drawn(lab):
    meter = Meter(lab)
    meter.better = "higher"
    (growth,) = curves(lab, meter).run()
    assert growth.points["bpf"][0].values[0] == pytest.approx(1e9 / 700, rel=0.05)
    assert (growth.unit, growth.title) == ("ns", "made up: time of one")


def test_time_ends_the_passes(lab):
    lab.costs["a thing"] = 0.1  # 1.8 s a pass
    (growth,) = curves(lab).run(seconds=8)
    assert [len(point.values) for point in growth.points["bpf"]] == [4, 4, 4]
    assert growth.partial is None


def test_too_little_time_is_told(lab):
    lab.costs["a thing"] = 1.0
    (growth,) = curves(lab).run(seconds=20)
    assert growth.partial.startswith(
        "its share of --bench-budget, 20 s, held 1 of the 3 builds of each point that a fit needs"
    )
    assert growth.given_up
    assert growth.fits == {}
    assert len(growth.at("bpf", 100).values) == 1


def test_no_pass_is_begun_that_leads_to_no_fit(lab):
    lab.costs["a thing"] = 1.0  # 18 s a pass
    curves(lab).run(seconds=40)
    assert lab.seconds == pytest.approx(18, rel=0.2)


def test_a_pass_ends_with_the_time(lab):
    lab.costs["a thing"] = 1.0  # 6 s a point
    (growth,) = curves(lab).run(seconds=1.9)
    assert "--bench-budget, 1.9 s, held 0 of the 3 builds" in growth.partial
    assert len(growth.points["bpf"]) == 1
    assert lab.seconds == pytest.approx(6)


def test_a_failure_keeps_what_there_was(lab):
    lab.fails["a thing"] = 60
    (growth,) = curves(lab).run()
    assert growth.partial.endswith(": a thing: the link went down")
    assert growth.points["bpf"]
    assert sorted(lab.built) == sorted(lab.closed)


def test_compiling_is_not_counted(lab):
    lab.compiling = {"legacy": 100.0, "bpf": 100.0}
    (growth,) = curves(lab).run(seconds=20)
    assert lab.seconds > 200
    assert growth.partial is None


def test_a_measure_that_fails_leaves_the_others_all_their_points(lab):
    lab.fails["broken"] = 40
    measures = [Meter(lab, what="one"), Meter(lab, what="broken"), Meter(lab, what="other")]
    one, broken, other = curves(lab, *measures).run()
    assert broken.partial.endswith(": broken: the link went down")
    assert one.partial is other.partial is None
    for growth in (one, other):
        assert [len(point.values) for point in growth.points["bpf"]] == [6, 6, 6]
    assert len(lab.built) == len(lab.closed) == 2 + 2 * 3 * 6 + 2  # new arms after the failure


def test_an_arm_that_cannot_be_built_ends_the_curves(lab):
    drawing = curves(lab)
    lab.built = None  # AttributeError
    with pytest.raises(AttributeError):
        drawing.run()
    assert drawing.growths[0].partial.startswith("AttributeError(")


def test_progress_that_cannot_be_shown_ends_no_curve(lab):
    (growth,) = curves(lab, watcher=Unseen()).run()
    assert growth.partial is None


def test_an_arm_that_turns_out_to_have_nothing_to_measure_fails_nothing(lab):
    bare, sound = curves(lab, Meter(lab, what="bare", without={"legacy"}), Meter(lab)).run()
    why = {"legacy": "no program attached at master:lxc1 ingress"}
    assert (bare.partial, bare.inapplicable, list(bare.points)) == (None, why, ["bpf"])
    assert bare.fits.keys() == bare.points.keys()
    assert bare.without == ["does not apply to legacy: no program attached at master:lxc1 ingress"]
    assert lab.opened.count(("bare", "legacy")) == 1
    assert (sound.inapplicable, list(sound.points)) == ({}, ["legacy", "bpf"])


def test_what_a_record_gets(lab):
    (growth,) = curves(lab, Meter(lab, apply={"bpf"})).run()
    entry = to_builtins(growth)
    assert (entry["over"], entry["testbed"], entry["unit"]) == ("services", "one_node", "ns")
    assert list(entry["points"]) == ["bpf"]
    assert list(entry["arms"]) == ["bpf"]
    assert entry["arms"]["bpf"]["settings"]["legacy_services"] == 0  # the first point's
    assert entry["arms"]["bpf"]["nodes"] == {"master": "bpf (tags)"}
    assert [point["x"] for point in entry["points"]["bpf"]] == [0, 100, 1000]
    assert entry["fits"]["bpf"]["model"] == "constant"
    assert entry["inapplicable"] == {"legacy": "it does not claim what is measured"}
    assert entry["fits"]["bpf"]["low"] < entry["fits"]["bpf"]["high"]
