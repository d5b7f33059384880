# SPDX-License-Identifier: Apache-2.0
"""A figure from matplotlib as a piece of the page: text stays text.

One unit of the drawing is one CSS pixel. A figure is as wide as a phone's column, so that its
text is read at its own size there.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.transforms import Affine2D

from harness.report.figures.palette import FAINT, GRID, INK, VARIABLES, css, stand_in

WIDTH = 340  # px: a phone of 390 px less the page's margins
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "hostroute", "text.parse_math": False,
    "axes.formatter.use_mathtext": False, "text.usetex": False, "axes.unicode_minus": True,
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 11,
    "axes.labelsize": 11, "xtick.labelsize": 11, "ytick.labelsize": 11,
    "text.color": stand_in(INK), "axes.labelcolor": stand_in(FAINT),
    "xtick.labelcolor": stand_in(FAINT), "ytick.labelcolor": stand_in(FAINT),
    "xtick.color": stand_in(GRID), "ytick.color": stand_in(GRID),
    "axes.edgecolor": stand_in(GRID), "grid.color": stand_in(GRID), "grid.linewidth": 1,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "xtick.minor.size": 0, "ytick.major.size": 0, "ytick.minor.size": 0, "axes.axisbelow": True,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "lines.solid_capstyle": "round", "lines.dash_capstyle": "butt", "lines.scale_dashes": False,
}  # fmt: skip


@contextmanager
def drawing(height: float, width: float = WIDTH) -> Iterator[Figure]:
    """A figure of `width` by `height` pixels, in the page's style."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A label in a script that this machine has no font for: the reader's machine draws it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield Figure(figsize=(width / 72, height / 72))


def place(figure: Figure, left: float, top: float, right: float, bottom: float) -> Axes:
    """Axes with these margins, in pixels."""
    width, height = figure.get_size_inches() * 72
    return figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    )


def say(
    figure: Figure, x: float, y: float, words: str, *, faint: bool = False, bold: bool = False,
    side: Literal["left", "center", "right"] = "left",
) -> None:  # fmt: skip
    """Write at `x`, `y` pixels from the upper left corner; `y` is the letters' foot."""
    height = figure.get_size_inches()[1] * 72
    figure.text(
        x, height - y, words, transform=Affine2D().scale(1 / 72) + figure.dpi_scale_trans,
        ha=side, va="baseline", weight="bold" if bold else "normal",
        color=stand_in(FAINT if faint else INK),
    )  # fmt: skip


def ticks(axis: Axis, marks: Mapping[float, str]) -> None:
    """Mark exactly these values, with these words."""
    axis.set_major_locator(FixedLocator(list(marks)))
    axis.set_major_formatter(FixedFormatter(list(marks.values())))
    axis.set_minor_locator(NullLocator())


def finish(figure: Figure, name: str, title: str, description: str) -> Markup:
    """The figure as inline SVG.

    Args:
        figure: Drawn within `drawing`.
        name: Unlike that of any other figure of the page; its ids start with it.
        title: Its accessible name.
        description: What a reader who cannot see it should know.
    """
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(text.getvalue())
    _rename_ids(root, name)
    width, height = figure.get_size_inches() * 72
    root.attrib.pop("version", None)
    root.attrib |= {
        "id": name, "width": f"{width:g}", "height": f"{height:g}", "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }  # fmt: skip
    for tag, said in (("desc", description), ("title", title)):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = said
        root.insert(0, element)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return Markup(_recolour(ElementTree.tostring(root, encoding="unicode")))


def _rename_ids(root: ElementTree.Element, name: str) -> None:
    """Make the ids that are used the page's own, drop the others, and what is no drawing.

    Matplotlib's style sheet would apply to the whole page, and its metadata to nothing.
    """
    link = f"{{{_XLINK}}}href"
    used: set[str] = set()
    for element in root.iter():
        used.update(re.findall(r"url\(#([^)]+)\)", " ".join(element.attrib.values())))
        used.add(element.attrib.get(link, "").removeprefix("#"))
    used.discard("")
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        if element.attrib.get("id", "") in used:
            element.attrib["id"] = f"{name}-{element.attrib['id']}"
        else:
            element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            if key == link:
                element.attrib[key] = f"#{name}-{value.removeprefix('#')}"
            elif "url(#" in value:
                element.attrib[key] = value.replace("url(#", f"url(#{name}-")


def _recolour(svg: str) -> str:
    """Stand-in colours become variables; which font it is, the page decides."""
    for variable in VARIABLES:
        svg = svg.replace(stand_in(variable), css(variable))
    svg = re.sub(r">\s+<", "><", svg)
    svg = re.sub(r"font: (?:(\d+) )?([\d.]+px) [^;\"]*", _font, svg)
    return re.sub(r"font-family: [^;\"]*;? ?", "", svg)


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}"
