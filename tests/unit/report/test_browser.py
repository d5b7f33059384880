# SPDX-License-Identifier: Apache-2.0
"""The page in a browser: drawn, filled, readable on a phone, light and dark, and silent.

Chromium runs headless with a profile of its own; it is given a file and no network.
"""

import shutil
from itertools import chain

import pytest

from harness.datapath.catalogue import CATALOGUE
from harness.report import FORMATS, Report, digest
from tests.support import records

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium, or no chromedriver, here"),
]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync")  # fmt: skip
PHONE, DESK = 390, 1200

# What one sees of every text that is shown: its colour, and that of what lies behind it.
TEXTS = """
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
const numbers = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
const opaque = colour => { const n = numbers(colour); return n.length == 3 || n[3] === 1; };
for (let node; node = walker.nextNode();) {
  const element = node.parentElement, style = getComputedStyle(element);
  if (!node.data.trim() || !element.getClientRects().length) continue;
  let behind = element;
  while (behind && !opaque(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const svg = element.closest("svg");
  found.push({text: node.data.trim().slice(0, 40), colour: numbers(svg ? style.fill : style.color),
              behind: numbers(getComputedStyle(behind).backgroundColor),
              size: parseFloat(style.fontSize)});
}
return found;
"""
FIGURES = """
return [...document.querySelectorAll("figure svg")].map(svg => {
  const box = svg.getBoundingClientRect();
  const outside = [...svg.querySelectorAll("text")].filter(text => {
    const r = text.getBoundingClientRect();
    return r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1
        || r.bottom > box.bottom + 1;
  });
  const marks = [...svg.querySelectorAll("path, use")].filter(mark => {
    const r = mark.getBoundingClientRect(), style = getComputedStyle(mark);
    return r.width + r.height > 0 && (style.stroke + style.fill).includes("rgb");
  });
  return {id: svg.id, width: box.width, height: box.height, right: box.right,
          page: document.documentElement.clientWidth, marks: marks.length,
          texts: svg.querySelectorAll("text").length, title: svg.querySelector("title").textContent,
          outside: outside.map(text => text.textContent)};
});
"""
TABLES = """
return [...document.querySelectorAll("table")].map(table => ({
  caption: table.caption.textContent, rows: table.tBodies[0].rows.length,
  height: table.getBoundingClientRect().height,
  empty: [...table.querySelectorAll("td:not(.none), tbody th")].filter(
    cell => !cell.textContent.trim()).length}));
"""
KEYS = """
return [...document.querySelectorAll("svg.key use")].map(
  use => use.getBoundingClientRect().width);
"""
VARIABLES = """
const style = getComputedStyle(document.documentElement), probe = document.createElement("i");
document.body.append(probe);
const rgb = name => { probe.style.color = `var(--${name})`;
                      return getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number); };
return Object.fromEntries(arguments[0].map(name => [name, rgb(name)]));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


def over_kernels():
    """Three kernels, one command; a failure, a degraded node, and a change for the worse."""
    return [
        {**records.record(seed=number, kernel=kernel, measures=("round-trip-udp-1",),
                          exact=records.exact(kernel), factors={"bpf": 1 + 0.1 * number},
                          conformance=records.conformance(number > 1, "bpf" if number else "")),
         "batch": "one"}
        for number, kernel in enumerate(("5.10.0-37-amd64", "6.1.0-40-amd64", "6.12.48-amd64"))
    ]  # fmt: skip


def whole_run():
    """One run of everything, with the longest names that the harness gives."""
    document = records.record()
    for entry in document["comparisons"]:
        if entry["measure"].startswith("throughput"):
            entry["described"] = "TCP cubic 4 streams reverse 1 s, window 64 KiB"
    long = "the time, 50 s, held 1 of the 6 builds that a verdict needs, at 6.2 s each: allow more"
    document["comparisons"][0]["partial"] = document["growth"][0]["partial"] = long
    document["comparisons"][1]["verdicts"][0]["warnings"] = [long, long]
    for test in document["conformance"]:
        if test["datapath"] == "bpf-redirect" or test["test"].endswith("[bpf-ipv6]"):
            tried = "failed: legs: AssertionError: the legs seen are not the legs expected"
            test |= {"outcome": "not claimed", "reason": f"answers_gateway_ping = ipv6; {tried}"}
    return [document]


def text_of(documents):
    titles = {identity: entry.title for identity, entry in CATALOGUE.items()}
    digests = tuple(map(digest, map(records.as_run, documents)))
    return FORMATS["html"](Report(digests, titles, unread=("a file that is none",)))


@pytest.fixture(scope="module", params=[whole_run, over_kernels], ids=["one_run", "kernels"])
def page(request, tmp_path_factory):
    """The page's file."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(text_of(request.param()))
    return path


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=[PHONE, DESK])
def width(request):
    return request.param


def show(browser, path, scheme, width):
    """Open a page, with everything unfolded."""
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(path.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
    return browser


@pytest.fixture
def shown(browser, page, scheme, width):
    return show(browser, page, scheme, width)


def luminance(colour):
    """WCAG 2.2, relative luminance of [red, green, blue], each up to 255."""
    parts = [c / 255 for c in colour[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def console(browser):
    """What the console says."""
    return [entry["message"] for entry in browser.get_log("browser")]


def undrawn(browser):
    """Figures that are empty, nameless, wider than the page, or write beyond their frame."""
    figures = browser.execute_script(FIGURES)
    assert len(figures) > 10
    return [
        f for f in figures
        if f["width"] < 250 or f["height"] < 80 or f["right"] > f["page"] or f["marks"] < 10
        or f["texts"] < 5 or not f["title"] or f["outside"]
    ]  # fmt: skip


def unfilled(browser):
    """Tables without a caption, a row, a height or a cell's text."""
    tables = browser.execute_script(TABLES)
    assert len(tables) > 10
    return [
        t for t in tables if not t["caption"] or not t["rows"] or t["empty"] or t["height"] < 10
    ]


def too_wide(browser):
    """By how much the page scrolls sideways."""
    return browser.execute_script(
        "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    )


def unreadable(browser):
    """Texts in too little contrast, or too small."""
    texts = browser.execute_script(TEXTS)
    assert len(texts) > 500
    return [t for t in texts if contrast(t["colour"], t["behind"]) < 4.5 or t["size"] < 10]


def keyless(browser):
    """Legends' keys that show nothing."""
    keys = browser.execute_script(KEYS)
    assert keys
    return [key for key in keys if key < 20]


@pytest.mark.parametrize("look", [console, undrawn, unfilled, unreadable, keyless])
def test_the_page_has_no_fault(look, shown):
    assert look(shown) == []


def test_the_page_itself_never_scrolls_sideways(shown):
    assert too_wide(shown) == 0


# What is put at the end of a sound page → the look that must notice.
FAULTS = {
    "an image from the network": ('<img src="http://192.0.2.1/a.png">', console),
    "a script": ("<script>alert(1)</script>", console),
    "figures that are hidden": ("<style>figure svg { display: none }</style>", undrawn),
    "figures without colour": (
        "<style>figure svg * { stroke: none !important; fill: none !important }</style>", undrawn,
    ),
    "letters too large for their figure": (
        "<style>figure svg text { font-size: 40px !important }</style>", undrawn,
    ),
    "an empty cell": (
        "<table><caption>c</caption><tbody><tr><td> </td></tr></tbody></table>", unfilled,
    ),
    "a table without rows": ("<table><caption>c</caption><tbody></tbody></table>", unfilled),
    "a wide line": ('<div style="width: 2000px">x</div>', too_wide),
    "faint text": ("<style>p { color: #999 !important }</style>", unreadable),
    "faint text on a tint": ("<style>.chip { color: var(--grid) !important }</style>", unreadable),
    "small print": ("<style>small { font-size: 8px !important }</style>", unreadable),
    "a key without a drawing": ('<svg class="key"><use href="#nothing"/></svg>', keyless),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "look"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_noticed(fault, look, browser, page, tmp_path):
    path = tmp_path / "faulty.html"
    path.write_text(page.read_text().replace("</body>", f"{fault}</body>"))
    assert look(show(browser, path, "light", DESK))


CELLS = """
const found = {};
for (const cell of document.querySelectorAll(".matrix td")) {
  const style = getComputedStyle(cell), kind = cell.className;
  found[kind] = [style.color, style.backgroundColor, style.outlineStyle, style.fontWeight];
}
return found;
"""


def test_every_state_of_a_cell_looks_its_own_way_in_greyscale_too(shown):
    """What is not claimed has a dashed line around it: tints alone look alike without colours."""
    cells = shown.execute_script(CELLS)
    assert ("unclaimed" in cells) != ("fail" in cells)  # one page has these, the other those
    if "unclaimed" in cells:
        assert {"pass", "degraded", "skipped"} <= cells.keys()
        assert [state for state, look in cells.items() if look[2] == "dashed"] == ["unclaimed"]
    looks = [tuple(look) for state, look in cells.items() if state not in ("none", "other")]
    assert len(set(looks)) == len(looks)


def test_the_schemes_differ_and_every_arm_stands_out(shown, scheme):
    arms = ["arm-blue", "arm-orange", "arm-green", "arm-pink", "arm-ink", "arm-sky", "arm-yellow"]
    found = shown.execute_script(VARIABLES, ["paper", "ink", *arms])
    assert (luminance(found["paper"]) < 0.1) == (scheme == "dark")
    assert [name for name in arms if contrast(found[name], found["paper"]) < 3] == []
    assert len(set(map(tuple, chain(found.values())))) == len(found)


def test_contrast_is_wcags():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)
