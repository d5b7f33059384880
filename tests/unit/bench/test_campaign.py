# SPDX-License-Identifier: Apache-2.0
"""Campaigns: arms built once a block for all measures, and who drops out when."""

import os
import signal

import pytest

from harness.bench.measurement import Measurement
from harness.bench.series import UNCLAIMED
from harness.plumbing.errors import HarnessError
from harness.plumbing.signals import take_due
from harness.results.comparison import FASTER, LIMIT, NO_DIFFERENCE
from tests.support.bench_lab import AGAIN_BPF, Lab, Meter, Unseen

FAST = {"legacy": 1000, "bpf": 700, "limit": 600}
EQUAL = {"legacy": 1000, "bpf": 1000, "limit": 600}
ALL = ["bpf", "bpf", "legacy", None]


@pytest.fixture
def lab(monkeypatch):
    return Lab(monkeypatch, FAST)


def blocks(lab, size=4):
    """What was built, without the two rounds of building that come first."""
    rest = lab.built[2 * size :]
    return [rest[at : at + size] for at in range(0, len(rest), size)]


def test_a_large_difference_is_settled_at_the_first_look(lab):
    campaign = lab.campaign(Meter(lab))
    (found,) = campaign.run()
    assert found.verdict_of("bpf").conclusion == FASTER
    assert found.verdict_of("bpf").builds == 6
    assert found.partial is None
    assert found.beats("bpf", "legacy")
    assert not found.beats("legacy", "bpf")
    assert sorted(map(str, lab.built)) == sorted(map(str, lab.closed))


def test_arms_are_built_once_a_block_for_all_measures(lab):
    one, other = Meter(lab, what="one"), Meter(lab, what="other")
    lab.campaign(one, other).run()
    assert len(blocks(lab)) == 6
    assert all(sorted(map(str, block)) == sorted(map(str, ALL)) for block in blocks(lab)[:4])
    assert {what for what, _ in lab.turns} == {"one", "other"}


def test_the_limit_is_measured_in_the_first_blocks_only(lab):
    (found,) = lab.campaign(Meter(lab)).run()
    assert [len(series.values) for series in found.arms.values()] == [6, 6, 6, 4]
    assert None not in blocks(lab)[4]
    assert found.share_of_limit("bpf") == pytest.approx(600 / 700, rel=0.02)
    assert found.share_of_limit("legacy") == pytest.approx(0.6, rel=0.02)
    assert list(found.arms) == ["legacy", "bpf", AGAIN_BPF, LIMIT]


def test_equal_arms_are_measured_to_the_last_look_or_until_negligible(monkeypatch):
    for spread, builds in ((0.03, 28), (0.0005, 6)):
        lab = Lab(monkeypatch, EQUAL, spread)
        (found,) = lab.campaign(Meter(lab)).run()
        assert found.verdict_of("bpf").conclusion == NO_DIFFERENCE
        assert found.verdict_of("bpf").builds == builds
        assert found.partial is None


def test_a_measures_plan_caps_its_builds(monkeypatch):
    lab = Lab(monkeypatch, EQUAL, 0.03)
    (found,) = lab.campaign(Meter(lab, builds=8)).run()
    assert len(found.arms["bpf"].values) == 8


def test_orders_follow_from_the_seed_and_not_from_who_dropped_out(monkeypatch):
    seen = []
    for seed, builds in ((1, 28), (1, 6), (2, 28)):
        lab = Lab(monkeypatch, EQUAL, 0.03)
        lab.campaign(Meter(lab, what="one"), Meter(lab, builds, what="other"), seed=seed).run()
        seen.append([name for what, name in lab.turns if what == "one"])
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def test_three_arms_are_each_compared_with_the_first(monkeypatch):
    lab = Lab(monkeypatch, {**FAST, "bpf-redirect": 1400})
    (found,) = lab.campaign(Meter(lab), arms=("legacy", "bpf-redirect", "bpf")).run()
    assert {verdict.arm: verdict.conclusion for verdict in found.verdicts} == {
        "bpf-redirect": "slower", "bpf": "faster"
    }  # fmt: skip


def test_a_measure_that_fails_keeps_what_it_had_and_the_others_go_on(lab):
    broken, sound = Meter(lab, what="broken"), Meter(lab, what="sound")
    lab.fails["broken"] = 30  # 2 builds of 3 arms and the limit, 3 rounds each, and 6 turns more
    results = {found.measure: found for found in lab.campaign(broken, sound).run()}
    assert results["broken"].partial == "arm limit: broken: the link went down"
    assert [len(series.values) for series in results["broken"].arms.values()] == [2, 2, 2, 2]
    assert not results["broken"].beats("bpf", "legacy")
    assert not results["broken"].given_up  # it failed
    assert results["sound"].partial is None
    assert len(results["sound"].arms["bpf"].values) == 6


def test_after_a_failure_the_others_get_new_arms(lab):
    lab.fails["broken"] = 0
    campaign = lab.campaign(Meter(lab, what="broken"), Meter(lab, what="sound"))
    campaign.run()
    at = next(at for at, (what, _) in enumerate(lab.opened) if what == "broken")
    assert ("sound", "bpf") not in lab.opened[at : at + 4]
    assert campaign.comparisons[0].arms == {}
    assert campaign.comparisons[0].baseline == "legacy"


class Odd(Meter):
    """Fails with an error that is neither ours nor the system's, as pyroute2's."""

    def opened(self, _built, _family):
        raise ValueError("Expecting value")


def test_an_error_of_any_other_kind_ends_one_measure_too(lab):
    results = {f.measure: f for f in lab.campaign(Odd(lab, what="odd"), Meter(lab)).run()}
    assert results["odd"].partial == "ValueError('Expecting value')"
    assert results["a thing"].partial is None


def test_an_error_that_ends_the_campaign_is_named(lab):
    lab.names = iter(())  # StopIteration where the arms are described
    campaign = lab.campaign(Meter(lab))
    with pytest.raises(StopIteration):
        campaign.run()
    assert campaign.comparisons[0].partial == "StopIteration()"


def test_progress_that_cannot_be_shown_ends_nothing(lab):
    measures = [Meter(lab, what="one"), Meter(lab, what="other")]
    results = lab.campaign(*measures, watcher=Unseen()).run()
    assert [found.partial for found in results] == [None, None]
    assert [len(found.arms["bpf"].values) for found in results] == [6, 6]


def test_values_that_are_no_numbers_end_a_comparison(monkeypatch):
    lab = Lab(monkeypatch, {**FAST, "bpf": -1})
    (found,) = lab.campaign(Meter(lab)).run()
    assert "not a positive number" in found.partial
    assert found.verdicts == []
    assert len(found.arms["bpf"].values) == 6


class Interrupting(Meter):
    """Ctrl-C in the second build."""

    def opened(self, built, family):
        if len(self.lab.turns) > 12:
            raise KeyboardInterrupt
        return super().opened(built, family)


def test_an_interrupted_campaign_keeps_what_it_had(lab):
    campaign = lab.campaign(Interrupting(lab))
    with pytest.raises(KeyboardInterrupt):
        campaign.run()
    (found,) = campaign.comparisons
    assert found.partial == "interrupted"
    assert [len(series.values) for series in found.arms.values()] == [2, 2, 2, 2]
    assert sorted(map(str, lab.built)) == sorted(map(str, lab.closed))


def test_a_second_signal_loses_nothing_of_what_an_interrupted_campaign_had(lab, monkeypatch):
    """It comes while the first of the comparisons is judged, which takes its time."""
    campaign = lab.campaign(*(Interrupting(lab, what=name) for name in ("one", "two", "three")))
    judge = Measurement.finish

    def finish(course, *arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return judge(course, *arguments)

    monkeypatch.setattr(Measurement, "finish", finish)
    with pytest.raises(KeyboardInterrupt):
        campaign.run()
    take_due()  # where this run is deferred, for a test that needs a testbed, it waits still
    assert [found.partial for found in campaign.comparisons] == ["interrupted"] * 3
    assert all(series.values for found in campaign.comparisons for series in found.arms.values())


def test_an_interrupt_while_the_first_build_is_filed_leaves_what_can_be_told(lab, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.bench.series.ArmSeries.note", interrupt)
    campaign = lab.campaign(Meter(lab, what="one"), Meter(lab, what="other"))
    with pytest.raises(KeyboardInterrupt):
        campaign.run()
    assert [(dict(found.arms), found.partial) for found in campaign.comparisons] == [
        ({}, "interrupted"), ({}, "interrupted"),
    ]  # fmt: skip
    assert all("partial: interrupted" in str(found) for found in campaign.comparisons)


def test_an_arm_whose_name_changes_ends_the_campaign(lab):
    names = iter(["bpf (tags)"] * 20 + ["bpf (other tags)"] * 20)
    lab.names = names
    campaign = lab.campaign(Meter(lab))
    with pytest.raises(HarnessError, match="leave bpf/ and the rules alone"):
        campaign.run()
    assert "was built as" in campaign.comparisons[0].partial


def test_time_ends_what_is_not_settled(monkeypatch):
    lab = Lab(monkeypatch, EQUAL, 0.03)
    lab.costs["a thing"] = 0.1
    (found,) = lab.campaign(Meter(lab)).run(seconds=10)
    assert found.partial is None
    assert 6 < found.verdict_of("bpf").builds < 28
    assert lab.seconds <= 10


def test_what_the_time_cannot_bring_to_a_verdict_is_left_out_the_costliest_first(lab):
    lab.costs = {"cheap": 0.01, "dear": 1.0}
    results = lab.campaign(Meter(lab, what="cheap"), Meter(lab, what="dear")).run(seconds=20)
    dear, cheap = results
    assert (dear.measure, cheap.measure) == ("dear", "cheap")
    assert "20 s, held 1 of the 6 builds that a verdict needs: allow more" in dear.partial
    assert cheap.beats("bpf", "legacy")
    assert (dear.given_up, cheap.given_up) == (True, False)
    assert lab.seconds < 20


def test_a_measure_is_taken_of_the_arms_it_applies_to(lab):
    (found,) = lab.campaign(Meter(lab, apply={"bpf"})).run()
    assert list(found.arms) == ["bpf", AGAIN_BPF]
    assert found.verdicts == []
    assert found.partial is None
    assert found.baseline == "bpf"
    assert found.inapplicable == {"legacy": UNCLAIMED}
    assert list(found.flaws()) == []


WHY = "no program attached at master:lxc1 ingress"


def test_an_arm_that_turns_out_to_have_nothing_to_measure_fails_nothing(monkeypatch):
    """The baseline, too: the next arm takes its place."""
    lab = Lab(monkeypatch, {**FAST, "other": 900})
    meter = Meter(lab, without={"legacy"})
    campaign = lab.campaign(meter, Meter(lab, what="sound"), arms=("legacy", "other", "bpf"))
    results = {found.measure: found for found in campaign.run()}
    found, sound = results["a thing"], results["sound"]
    assert (found.partial, found.inapplicable) == (None, {"legacy": WHY})
    assert list(found.arms) == ["other", "bpf", AGAIN_BPF, LIMIT]
    assert (found.baseline, found.verdict_of("bpf").conclusion) == ("other", FASTER)
    assert f"does not apply to legacy: {WHY}" in str(found)
    assert list(found.flaws()) == []
    assert lab.opened.count(("a thing", "legacy")) == 1
    assert (sound.baseline, sound.inapplicable) == ("legacy", {})


def test_a_measure_without_any_arm_ends_at_once_and_fails_nothing(lab):
    (found,) = lab.campaign(Meter(lab, without={"legacy", "bpf"}, apply={"legacy", "bpf"})).run()
    assert (found.arms, found.partial, found.baseline, found.verdicts) == ({}, None, "", [])
    assert found.inapplicable == {"legacy": WHY, "bpf": WHY}
    assert str(found).endswith(f": nothing measured; does not apply to legacy, bpf: {WHY}")
    assert list(found.flaws()) == []
    assert len(blocks(lab)) == 1


def test_an_arm_that_loses_what_was_measured_of_it_is_a_failure(lab):
    meter = Meter(lab)

    class Losing:
        """Who takes the programs away after two blocks."""

        def step(self, campaign, _task):
            meter.without = {"bpf"} if campaign.blocks == 2 else set()

        def finished(self, *_):
            """Nothing to show."""

    (found,) = lab.campaign(meter, watcher=Losing()).run()
    assert (found.partial, found.inapplicable) == (WHY, {})
    assert [len(series.values) for series in found.arms.values()] == [2, 2, 2, 2]


def test_with_little_time_the_first_measures_come_to_a_verdict(lab):
    """Decided in the first block: what will find no time does not take any from the others."""
    names = [f"measure {number}" for number in range(20)]
    lab.costs = dict.fromkeys(names, 0.05)  # 0.6 s a block, three rounds of four arms
    campaign = lab.campaign(*(Meter(lab, what=name) for name in names))
    results = {found.measure: found for found in campaign.run(seconds=15)}
    whole = [name for name in names if results[name].partial is None]
    assert whole == names[: len(whole)]
    assert len(whole) in (3, 4)
    assert all(results[name].given_up for name in names[len(whole) :])
    assert {what for what, _ in lab.turns} == set(names[: len(whole)])
    assert lab.seconds < 15
