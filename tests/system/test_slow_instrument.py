# SPDX-License-Identifier: Apache-2.0
"""How far the instrument can be trusted: what it finds, what it must not find, does it repeat?

Minutes each: `pytest -m slow -k instrument`.
"""

import json

import pytest

from harness.bench import MEASURES, Campaign
from harness.datapath import DATAPATHS
from harness.results.comparison import AGAIN, NO_DIFFERENCE
from harness.results.formulas import paired_ratios
from harness.topology import TESTBEDS, Family
from testbeds.measuring import ROUND_TRIP, arm, planted_slowdown, task

pytestmark = pytest.mark.slow
TWIN = "bpf twin"
COMPARISONS = 100
PLANTED, TIMES, SECONDS = 0.05, 20, 10
MINUTES = 240  # seconds for all measures of a testbed: more than a run has, on a busy machine


def test_slow_instrument_a_against_a(hr_machine, hr_programs, request, hr_say):
    """At most 2 of 100 find a difference; the builds' ratios are kept in results/.

    Copied to tests/data/, they are what tests/unit/bench/test_verdict_on_real_samples.py replays.
    """
    found, kept = [], []
    for seed in range(COMPARISONS):
        family = list(Family)[seed % 2]
        arms = dict.fromkeys(("bpf", TWIN), arm("bpf", "one_node"))
        campaign = Campaign("one_node", arms, [task(ROUND_TRIP, family)], seed, with_limit=False)
        (comparison,) = campaign.run()
        bpf, twin, again = (comparison.arms[at].values for at in ("bpf", TWIN, TWIN + AGAIN))
        kept.append(
            {
                "ratios": [round(ratio, 6) for ratio in paired_ratios(twin, bpf)],
                "again": [round(ratio, 6) for ratio in paired_ratios(again, twin)],
            }
        )
        if comparison.verdict_of(TWIN).conclusion != NO_DIFFERENCE:
            found.append(str(comparison))
    path = request.config.rootpath / "results" / "a-against-a.json"
    path.write_text(json.dumps(kept, separators=(",", ":")), encoding="utf-8")
    hr_say(f"A against A: {len(found)} of {COMPARISONS} found a difference; kept in {path}")
    assert len(found) <= 2, found


def test_slow_instrument_finds_a_planted_slowdown(hr_machine, hr_programs, monkeypatch, hr_say):
    slowed = planted_slowdown(PLANTED)
    monkeypatch.setitem(DATAPATHS, slowed.name, slowed)
    arms = {"bpf": arm("bpf", "one_node"), slowed.name: arm(slowed.name, "one_node")}
    seconds, ratios = [], []
    for seed in range(TIMES):
        family = list(Family)[seed % 2]
        campaign = Campaign("one_node", arms, [task(ROUND_TRIP, family)], seed, with_limit=False)
        (comparison,) = campaign.run(SECONDS)
        seconds.append(campaign.spent)
        ratios.append(comparison.verdict_of(slowed.name).ratio)
        assert comparison.beats("bpf", slowed.name), comparison
    hr_say(
        f"planted slowdown of {PLANTED:.0%}: found {TIMES} of {TIMES} times, as {min(ratios):.3f}"
        f" to {max(ratios):.3f}, in {max(seconds):.1f} s at the most"
    )


@pytest.mark.parametrize("testbed", TESTBEDS)
def test_slow_instrument_repeats(hr_machine, hr_programs, testbed, hr_say):
    """The same comparison twice: the intervals overlap, but for the noise, for every measure."""
    tasks = [task(key, family) for key in MEASURES for family in Family]
    arms = {name: arm(name, testbed) for name in ("legacy", "bpf")}
    runs = [
        {
            (found.measure, found.family): found
            for found in Campaign(testbed, arms, tasks, seed).run(MINUTES)
        }
        for seed in (1, 2)
    ]
    apart = []
    for one, other in ((runs[0][each], runs[1][each]) for each in runs[0]):
        assert one.partial is None, one
        assert other.partial is None, other
        for label, first in one.judgements.items():
            second = other.verdict_of(label)
            # Between two runs the machine drifts: by its noise, as runs are compared elsewhere.
            room = 1 + max(first.noise, second.noise)
            if first.low > second.high * room or second.low > first.high * room:
                apart.append(f"{one}; again: {second}")
    hr_say(f"twice the same on {testbed}: {len(apart)} of {len(tasks)} intervals lie apart")
    assert apart == []
