# SPDX-License-Identifier: Apache-2.0
"""Tables that other packages add to: by entry points, by calls, by both."""

from importlib import metadata
from types import SimpleNamespace

import pytest

from harness.plumbing import registry
from harness.plumbing.errors import RegistryError, UnknownNameError
from harness.plumbing.registry import Registry


class Point:
    """An entry point as `metadata.entry_points` gives it."""

    dist = SimpleNamespace(name="somebodys-testbeds")

    def __init__(self, name, entry, value="theirs:THING"):
        self.name, self.entry, self.value = name, entry, value
        self.loads = 0

    def load(self):
        self.loads += 1
        if isinstance(self.entry, Exception):
            raise self.entry
        return self.entry


@pytest.fixture
def table(monkeypatch):
    def make(*points, **bundled):
        asked = []

        def entry_points(group):
            asked.append(group)
            return points

        monkeypatch.setattr(metadata, "entry_points", entry_points)
        made = Registry("testbed", str, bundled)
        made.asked = asked
        return made

    return make


def test_what_is_bundled_comes_first_then_what_others_bring(table):
    found = table(Point("b", "two"), Point("c", "three"), a="one")
    found.register("d", "four")
    assert list(found) == ["a", "d", "b", "c"]
    assert dict(found) == {"a": "one", "b": "two", "c": "three", "d": "four"}
    assert found.asked == ["hostroute.testbeds"]


def test_an_entry_point_is_loaded_when_it_is_asked_for_and_once(table):
    needed, broken = Point("b", "two"), Point("c", ImportError("no module named x"))
    found = table(needed, broken)
    assert "c" in found
    assert len(found) == 2
    assert [found.find("b"), found.find("b"), needed.loads, broken.loads] == ["two", "two", 1, 0]


def test_an_entry_point_that_raises_is_one_line_each_time(table):
    found = table(Point("c", ImportError("no module named x")))
    for _ in range(2):
        with pytest.raises(RegistryError) as caught:
            found.find("c")
        assert str(caught.value) == (
            "testbed 'c' (theirs:THING, of package somebodys-testbeds) cannot be loaded"
            " (ImportError('no module named x')): mend or uninstall that package"
        )


def test_an_entry_point_of_another_type_is_refused(table):
    with pytest.raises(RegistryError, match=r"is no str but int: let the entry point name the"):
        table(Point("c", 3)).find("c")


def test_the_same_registered_by_a_call_and_an_entry_point_is_no_error(table):
    found = table(Point("c", "three"), Point("c", "three"))
    found.register("c", "three")
    assert found.find("c") == "three"
    found.register("c", "three")


@pytest.mark.parametrize("order", ["call first", "entry point first", "two entry points"])
def test_different_contents_under_one_name_are_refused(table, order):
    found = table(Point("c", "three"), *([Point("c", "drei")] if order[:3] == "two" else []))
    said = r"testbed 'c' is registered twice, with different contents: rename one"
    if order == "call first":
        found.register("c", "drei")
    elif order == "entry point first":
        found.find("c")
        with pytest.raises(RegistryError, match=said):
            found.register("c", "drei")
        return
    with pytest.raises(RegistryError, match=said):
        found.find("c")


def test_an_unknown_name_is_refused_with_the_known_ones(table):
    with pytest.raises(UnknownNameError, match="testbed 'x' is unknown: use a, b"):
        table(Point("b", "two"), a="one").find("x")


def test_an_empty_table_says_what_is_missing(table):
    with pytest.raises(UnknownNameError, match="install a package that registers a testbed"):
        table().find("x")


def test_only_the_process_that_reads_a_table_pays_for_it():
    assert not hasattr(registry, "load_entry_points")
    made = Registry("testbed", str)
    assert "_points" not in vars(made)


def test_the_names_of_an_empty_table_are_asked_for_in_vain(table):
    assert table(Point("b", "two"), a="one").names() == ["a", "b"]
    with pytest.raises(UnknownNameError, match="no testbed is registered: install a package"):
        table().names()


def test_those_that_can_be_loaded(table):
    found = table(Point("b", ImportError("no module named x")), Point("c", "three"), a="one")
    found.register("d", "four")
    assert found.loadable() == {"a": "one", "c": "three", "d": "four"}
