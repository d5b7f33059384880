# SPDX-License-Identifier: Apache-2.0
"""One look for each datapath: colour, marker and dash.

The colours are Okabe and Ito's (jfly.uni-koeln.de/color), which colour-blind readers tell apart;
marker and dash say the same without colour. A figure is drawn in stand-in colours, which become
CSS variables afterwards: so one drawing serves the light page and the dark one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.datapath import DATAPATHS
from harness.results.comparison import LIMIT


@dataclass(frozen=True)
class Look:
    """How an arm is drawn.

    Attributes:
        variable: The CSS variable of its colour, without the dashes.
        marker: Matplotlib's name of its marker.
        dash: Lengths of ink and gap, in pixels; empty: solid.
    """

    variable: str
    marker: str
    dash: tuple[float, ...] = ()


_LIMITS = Look("arm-ink", "v", (3, 3))
#: Of the registered datapaths, in their order, so that each looks the same in every report.
_LOOKS = (
    Look("arm-orange", "s", (5, 2)),
    Look("arm-blue", "o"),
    Look("arm-green", "D", (7, 2, 1.5, 2)),
    Look("arm-pink", "^", (1.5, 1.5)),
)
_SPARE = (
    Look("arm-sky", "P", (9, 2)),
    Look("arm-yellow", "X", (4, 1.5, 1.5, 1.5)),
    Look("arm-orange", "h", (2, 1)),
    Look("arm-green", "<", (6, 3)),
    Look("arm-pink", ">", (8, 2, 2, 2)),
)
INK, FAINT, GRID, SHADE, PAPER = "ink", "faint", "grid", "shade", "paper"
VARIABLES = (
    INK, FAINT, GRID, SHADE, PAPER,
    *dict.fromkeys(look.variable for look in (*_LOOKS, _LIMITS, *_SPARE)),
)  # fmt: skip


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Label → look; a label that is not registered gets a spare one, in the order of the labels."""
    labels = list(dict.fromkeys(labels))
    known = {LIMIT: _LIMITS, **dict(zip(DATAPATHS, _LOOKS, strict=False))}
    strangers = [label for label in labels if label not in known]
    return {
        label: known.get(label) or _SPARE[strangers.index(label) % len(_SPARE)] for label in labels
    }


def stand_in(variable: str) -> str:
    """The colour that a figure is drawn with where `variable` is meant."""
    return f"#fe00{VARIABLES.index(variable):02x}"


def css(variable: str) -> str:
    """The same for the page."""
    return f"var(--{variable})"
