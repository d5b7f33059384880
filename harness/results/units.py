# SPDX-License-Identifier: Apache-2.0
"""Numbers for people, the same in every view: scaled units, ratios with intervals, shares."""

from __future__ import annotations

import math
import re

# Unit of a measure → the steps it is shown in, smallest first.
_TIME = ((1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s"))
_COUNT = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))
_TIME_UNIT = re.compile(r"(ns|s)((?:[/ ].*)?)$")
_UNKNOWN = "\N{EN DASH}"
#: For terminals without these characters: what stands in their place.
SPELT = str.maketrans({
    "µ": "u", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "\N{MINUS SIGN}": "-",
    _UNKNOWN: "-",
})  # fmt: skip


def scaled(unit: str, largest: float) -> tuple[float, str]:
    """The divisor and the unit in which values up to `largest` read best.

    Times, alone or per something, go from nanoseconds to seconds; bits and events per second take
    k, M, G; every other unit stays as it is.
    """
    steps: tuple[tuple[float, str], ...]
    if time := _TIME_UNIT.match(unit):
        whole = 1e9 if time[1] == "s" else 1.0
        steps = tuple((factor / whole, name + time[2]) for factor, name in _TIME)
    elif unit.endswith("/s"):
        steps = tuple((factor, f"{name}{unit.removeprefix('1')}") for factor, name in _COUNT)
    else:
        return 1.0, unit
    return max((step for step in steps if abs(largest) >= step[0]), default=steps[0])


def digits(value: float) -> str:
    """Three significant digits at least, never an exponent where people use none."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return grouped(value, places)


def grouped(value: float, places: int = 0) -> str:
    """A number with its thousands apart, as in `10 000`."""
    text = f"{value:,.{places}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return text.replace("-", "\N{MINUS SIGN}")


def shown(value: float | None, unit: str) -> str:
    """A value with its unit, as in `2.69 µs`."""
    if value is None:
        return _UNKNOWN
    divisor, name = scaled(unit, value)
    return f"{digits(value / divisor)}\N{NO-BREAK SPACE}{name}".strip()


def ratio(value: float | None) -> str:
    """A ratio, three decimals; four figures near nothing."""
    if value is None:
        return _UNKNOWN
    return f"{value:.3f}" if 0.1 <= value < 100 else f"{value:.3g}"


def interval(low: float | None, high: float | None) -> str:
    """Both ends, as in `[0.703, 0.713]`."""
    if low is None and high is None:
        return "no interval"
    return f"[{ratio(low)}, {ratio(high)}]"


def estimate(value: float | None, low: float | None, high: float | None, unit: str = "") -> str:
    """A ratio, or a value with its unit, and its interval: `0.708 [0.703, 0.713]`."""
    if not unit:
        return (
            ratio(value)
            if low is None or high is None
            else f"{ratio(value)} [{ratio(low)}, {ratio(high)}]"
        )
    if value is None or low is None or high is None:
        return shown(value, unit)
    divisor, name = scaled(unit, max(map(abs, (value, low, high))))
    middle, *found = (digits(end / divisor) for end in (value, low, high))
    return f"{middle}\N{NO-BREAK SPACE}{name} [{', '.join(found)}]"


def noise(value: float | None) -> str:
    """A noise floor, as in `±0.8 %`."""
    return "unknown" if value is None else f"±{share(value, 1)}"


def p_value(value: float | None) -> str:
    """A probability, two figures of it."""
    return "unknown" if value is None else f"{value:.2g}"


def observed(value: object) -> str:
    """An observed value: yes and no, numbers without a trailing .0, none as a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "none" if value is None else str(value)


def share(value: float | None, places: int = 0) -> str:
    """A share as a percentage."""
    return _UNKNOWN if value is None else f"{value * 100:.{places}f}\N{NARROW NO-BREAK SPACE}%"


def change(value: float) -> str:
    """A ratio as a signed change, as in `+4.1 %`."""
    percent = (value - 1) * 100
    text = f"{percent:+.2g}" if abs(percent) < 99.5 else f"{percent:+.0f}"
    return f"{text}\N{NARROW NO-BREAK SPACE}%".replace("-", "\N{MINUS SIGN}")


def count(number: int, noun: str) -> str:
    """A number of things, as in `1 test` and `12 tests`."""
    return f"{grouped(number)} {noun}{'' if number == 1 else 's'}"


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """A key that sorts `6.9` before `6.12`, and `6.18-rc1` before `6.18.1`."""
    parts = re.findall(r"\d+|[^\d.+-]+", text)
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in parts)
