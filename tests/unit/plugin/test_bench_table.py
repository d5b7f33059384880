# SPDX-License-Identifier: Apache-2.0
"""What a person sees of measurements: tables, progress, entries of pytest-benchmark; the budget."""

import re
from types import SimpleNamespace

import pytest

from harness.bench import AXES, MEASURES, Budget, Campaign, Curve, Curves, Session, Task
from harness.plugin.bench_entries import REPLAY, Replay, durations, enter
from harness.plugin.bench_progress import Show
from harness.plugin.bench_table import summary
from harness.topology import Family
from tests.support.bench_lab import Lab, Meter, arm
from tests.unit.bench.test_session import KEY, comparison

NARROW, HARD = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


@pytest.fixture
def run():
    found = Session(seed=1)
    found.comparisons += [comparison(), comparison("the link went down", testbed="two_node")]
    return found


def test_a_table_has_every_arm_its_share_the_ratio_and_the_verdict(run):
    lines = summary(run, 200, markup=False)
    row = next(line for line in lines if line.startswith("  ipv4"))
    assert re.split(r" {2,}", row.strip()) == [
        "ipv4", f"7.00{HARD}µs", f"50{NARROW}%", f"4.90{HARD}µs", f"71{NARROW}%", f"3.50{HARD}µs",
        "0.700 [0.700, 0.700]", "faster", f"±0.0{NARROW}%",
    ]  # fmt: skip
    assert sum("bpf / legacy" in line for line in lines) == 2
    assert max(map(len, lines)) < 160


def test_a_narrow_terminal_gets_less(run):
    wide, narrow = (summary(run, width, markup=False) for width in (200, 60))
    tables = [[line for line in lines if line.startswith("  ipv4")] for lines in (wide, narrow)]
    assert f"50{NARROW}%" in tables[0][0]
    assert f"50{NARROW}%" not in tables[1][0]
    assert "faster" in tables[1][0]


def test_what_is_partial_says_so_and_why(run):
    lines = summary(run, 200, markup=False)
    (row,) = [line for line in lines if line.startswith("  ipv4") and "partial" in line]
    assert "faster" not in row
    assert f"partial: the link went down: {KEY} two_node ipv4" in lines


def test_a_partial_curve_has_no_word_for_its_growth(run):
    curve = Curve(Task(KEY, MEASURES[KEY], Family.ipv4), "pods", "one_node", {"bpf": {
        1: [100.0, 101, 102], 100: [200.0, 201, 202]
    }}, "interrupted")  # fmt: skip
    run.growths = [curve.growth()]
    rows = [line for line in summary(run, 200, markup=False) if "ns [" in line]
    assert rows
    assert all("partial" in row and "linear" not in row for row in rows)
    curve.partial = None
    run.growths = [curve.growth()]
    assert any("linear" in line for line in summary(run, 200, markup=False))


def test_a_ratio_to_another_arm_than_the_usual_says_to_which(monkeypatch):
    """Legacy runs no program: of these, the first arm that does is the baseline."""
    lab = Lab(monkeypatch, {"legacy": 7000, "bpf-redirect": 5600, "bpf": 4900})
    tasks = [
        Task("round-trip-udp-1", Meter(lab), Family.ipv4),
        Task("program-cost", Meter(lab, apply=("bpf-redirect", "bpf")), Family.ipv4),
    ]
    found = Session(seed=1)
    arms = {name: arm(name) for name in lab.typical}
    found.comparisons += Campaign("one_node", arms, tasks, 1, with_limit=False).run()
    lines = summary(found, 200, markup=False)
    assert sum("bpf / legacy" in line for line in lines) == 1
    trip, cost = (re.split(r" {2,}", line.strip()) for line in lines if line.startswith("  ipv4"))
    ratios = [[cell for cell in row if "[" in cell] for row in (trip, cost)]
    assert not any("/" in cell for cell in ratios[0])
    assert [cell.endswith(" / bpf-redirect") for cell in ratios[1]] == [True]


def test_arms_are_named_whole_and_once(run):
    text = "\n".join(summary(run, 200, markup=False))
    assert text.count("limit (tags)") == 1
    assert text.count("bpf (tags)") == 2  # once a testbed
    assert "bpf again (tags)" not in text


def test_the_mean_stands_below(run):
    lines = summary(run, 200, markup=False)
    assert any(re.search(r"bpf against legacy\s+one_node\s+1\.4[23]\d \[", line) for line in lines)


def test_colours_are_for_terminals(run):
    assert "\x1b[" in "".join(summary(run, 200, markup=True))
    assert "\x1b[" not in "".join(summary(run, 200, markup=False))


def test_curves_are_a_table(run, monkeypatch):
    lab = Lab(monkeypatch, {"legacy": 1000, "bpf": 700})
    task = Task("round-trip", Meter(lab), Family.ipv4)
    arms = {name: arm(name) for name in ("legacy", "bpf")}
    run.growths += Curves("one_node", arms, AXES["services"], [task], 1).run()
    run.growths.append(Curve(task, "pods", "two_node", partial="interrupted").growth())
    lines = summary(run, 200, markup=False)
    head = next(line for line in lines if "services:" in line)
    assert re.split(r" {2,}", head) == [
        "one_node", "services:", "0", "100", f"1{NARROW}000", "growth", "each service"
    ]  # fmt: skip
    assert any(
        re.search(r"ipv4 +legacy( +[\d.]+.[nµ]s){3} +constant", line.replace(NARROW, ""))
        for line in lines
    )
    assert "partial: interrupted: round-trip two_node ipv4 over pods" in lines


class Terminal:
    """As much of pytest's as is used."""

    def __init__(self, isatty):
        self.isatty, self.text = isatty, ""

    def write(self, text, **_):
        self.text += text

    def write_line(self, text, **_):
        self.text += f"{text}\n"

    def ensure_newline(self):
        pass

    def flush(self):
        pass


def watched(monkeypatch, isatty):
    config = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda _: None))
    lab, terminal = Lab(monkeypatch, {"legacy": 1000, "bpf": 700, "limit": 600}), Terminal(isatty)
    measures = [Meter(lab, what="one"), Meter(lab, what="other")]
    lab.campaign(*measures, watcher=Show(config, terminal)).run(100)
    return terminal.text


def test_without_a_terminal_progress_is_a_line_for_each_comparison(monkeypatch):
    lines = watched(monkeypatch, False).splitlines()
    assert len(lines) == 2
    assert all("faster (noise floor" in line for line in lines)


def test_without_a_terminal_there_is_a_sign_of_life_now_and_then(monkeypatch):
    """A guest, and many a CI, takes one that is silent for minutes for hung."""
    now = [0.0]
    config = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda _: None))
    terminal = Terminal(False)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    show = Show(config, terminal)
    axis = SimpleNamespace(over="pods")
    curves = SimpleNamespace(testbed="two_node", passes=1, axis=axis, spent=1.0, seconds=None)
    for at in (10, 29, 31, 40, 62):
        now[0] = float(at)
        show.point(curves, 1000)
    assert terminal.text.splitlines() == ["two_node pass 2: 1000 pods"] * 2


def test_on_a_terminal_progress_is_a_bar_with_the_latest_verdict(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = watched(monkeypatch, True)
    assert "one_node build 6" in text
    assert "1 of 2 settled" in text
    assert "of legacy, faster" in text
    assert text.endswith("\x1b[2K")  # the bar is gone


def test_pytest_benchmark_gets_durations_of_rates():
    assert durations([2e9], "bit/s", "higher") == ([0.5], "s/Gbit")
    assert durations([4000.0], "packets/s", "higher") == ([0.00025], "s/packets")
    assert durations([2500.0], "ns", "lower") == ([2.5e-6], "s")
    assert durations([7.0], "s/GiB", "lower") == ([7.0], "s/GiB")


@pytest.mark.benchmark(timer=REPLAY)
def test_an_arm_is_an_entry_of_pytest_benchmark(benchmark):
    found = comparison()
    enter(benchmark, found, "bpf")
    assert benchmark.group == f"{KEY} one_node ipv4"
    assert benchmark.extra_info["arm"] == "bpf"
    assert "faster" in benchmark.extra_info["verdict"]
    stats = benchmark.stats.stats
    assert stats.rounds == len(found.arms["bpf"].flat) == 18
    assert (stats.min, stats.max) == pytest.approx((4.9e-6, 5.805e-6))


@pytest.mark.benchmark(timer=REPLAY)
def test_an_entry_of_what_broke_off_has_no_verdict(benchmark):
    enter(benchmark, comparison("the link went down"), "bpf")
    assert "verdict" not in benchmark.extra_info
    assert benchmark.extra_info["partial"] == "the link went down"


def test_what_has_no_sample_is_no_entry(benchmark):
    with pytest.raises(pytest.fail.Exception, match=r"no sample of bpf-redirect.*link went down"):
        enter(benchmark, comparison("the link went down"), "bpf-redirect")


def test_the_replayed_timer_gives_back_every_duration():
    timer = Replay()
    timer.load([0.5, 0.25])
    readings = [timer() for _ in range(4)]
    assert [readings[1] - readings[0], readings[3] - readings[2]] == [0.5, 0.25]


def test_a_budget_is_shared_and_what_is_left_goes_to_the_next(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    budget = Budget(100, {"one": 2, "other": 1, "third": 1})
    with budget.share("one") as seconds:
        assert seconds == 50
        now[0] += 20
    with budget.share("other") as seconds:
        assert seconds == 40
        now[0] += 300
    with budget.share("third") as seconds:
        assert seconds == 40
    with pytest.raises(KeyError), budget.share("one"):
        pass
