# SPDX-License-Identifier: Apache-2.0
"""Options of measuring: their defaults, and what is refused."""

from types import SimpleNamespace

import pytest

from harness.plugin.bench_options import SECONDS_PER_ARM, budget, chosen_arms, seed
from harness.plumbing.errors import UnknownNameError
from harness.results.comparison import FASTER, NO_DIFFERENCE, SLOWER
from harness.results.formulas import REFUTED, SHOWN
from testbeds.measuring import beating, required
from tests.support.run_cli import end, pytest_of, start
from tests.unit.bench.test_session import comparison


def config(**options):
    named = {"hr_arms": "legacy,bpf", "hr_bench_budget": None, "hr_bench_seed": None}
    named |= {f"hr_{name}": value for name, value in options.items()}
    return SimpleNamespace(getoption=named.__getitem__)


def test_the_first_arm_is_the_baseline():
    assert chosen_arms(config()) == ["legacy", "bpf"]
    arms = ["legacy", "bpf-redirect", "bpf"]
    assert chosen_arms(config(arms=",".join(arms))) == arms


@pytest.mark.parametrize("text", ["bpf", "", "bpf,bpf", "bpf,legacy,bpf"])
def test_fewer_than_two_different_arms_are_refused(text):
    with pytest.raises(UnknownNameError, match=f"--hr-arms {text}: two different datapaths"):
        chosen_arms(config(arms=text))


def test_an_unknown_arm_is_refused_with_those_there_are():
    with pytest.raises(UnknownNameError, match=r"datapath 'xdp' is unknown.*legacy, bpf"):
        chosen_arms(config(arms="legacy,xdp"))


def test_the_time_depends_on_the_arms_unless_it_is_named():
    assert budget(config()) == 2 * SECONDS_PER_ARM
    assert budget(config(arms="legacy,bpf-redirect,bpf")) == 3 * SECONDS_PER_ARM
    assert budget(config(bench_budget=12.5)) == 12.5


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_is_refused(seconds):
    with pytest.raises(UnknownNameError, match="--hr-bench-budget"):
        budget(config(bench_budget=seconds))


def test_a_seed_is_drawn_unless_it_is_named():
    assert seed(config()) is None
    assert seed(config(bench_seed=0)) == 0
    with pytest.raises(UnknownNameError, match="--hr-bench-seed -1 is negative"):
        seed(config(bench_seed=-1))


@pytest.mark.parametrize(
    ("bpf", "verdict", "faster", "not_slower"),
    [
        (4900.0, FASTER, SHOWN, SHOWN),
        (7000.0, NO_DIFFERENCE, REFUTED, SHOWN),
        (9000.0, SLOWER, REFUTED, REFUTED),
    ],
)
def test_what_is_required_of_a_verdict(bpf, verdict, faster, not_slower):
    found = comparison(bpf=bpf)
    assert found.verdict_of("bpf").conclusion == verdict
    for asked, outcome in (("faster", faster), ("not-slower", not_slower)):
        assert [each.outcome for each in required(found, asked)] == [outcome]
    assert required(found, None) == []
    assert [each.outcome for each in beating(found)] == [faster]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--arms", "bpf", "--hr-arms bpf: two different datapaths or more are needed"),
        ("--arms", "legacy,xdp", "datapath 'xdp' is unknown"),
        (
            "--bench-budget",
            "-5",
            "--hr-bench-budget -5 is not a time: pass a positive number of seconds",
        ),
        ("--bench-seed", "-5", "--hr-bench-seed -5 is negative"),
    ],
)
def test_a_wrong_option_ends_the_run_with_one_line(option, value, said):
    ended = end(start(pytest_of(option, value, "--collect-only", "tests/unit/test_docs.py")))
    assert ended.code == UnknownNameError.exit_code
    (line,) = [line for line in ended.text.splitlines() if said in line]
    assert "hostroute: " in line
    assert "Traceback" not in ended.text
