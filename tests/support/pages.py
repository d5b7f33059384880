# SPDX-License-Identifier: Apache-2.0
"""What the tests of the page share: records as a page, and a page as its tags and words."""

import re
from html.parser import HTMLParser

from harness.report import FORMATS, Report, digest
from tests.support import records

TITLES = {f"HR-{number:02}": f"title of {number}" for number in range(1, 49)}
VOID = {"meta", "link", "br", "hr", "img", "input"}


def report(*documents, **changes):
    digests = tuple(digest(records.as_run(document)) for document in documents)
    return Report(**{"digests": digests, "titles": TITLES, **changes})


def page(*documents, **changes):
    return FORMATS["html"](report(*documents, **changes))


def small(**changes):
    """A run of a single comparison: drawn in no time."""
    few = {"measures": ("round-trip-udp-1",), "testbeds": ("one_node",), "families": ("ipv4",)}
    return records.record(**{**few, "growth": [], **changes})


class Page(HTMLParser):
    """Tags in balance, ids once, and the texts of table cells."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.texts = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        for name in ("href", "xlink:href"):
            self.links += [found[name]] if name in found else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts += [text.strip()] if text.strip() else []

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))
