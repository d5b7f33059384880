# SPDX-License-Identifier: Apache-2.0
"""Names from outside, as tests' ids, become names of files."""

from pathlib import Path

import pytest

from harness.names import LONGEST, directory_of_test, file_name

LONG = "x" * 300
OUTSIDE = Path("/outside/x.py")
UNSAFE = [
    "", ".", "..", "...", "a/b", "../a", "/etc", "a\0b", "a\nb", "a\x1b[31mb", "a:b", "a?b", "a*b",
    'a"b', "a<b", "a|b", "a\\b", "a\u202eb", "a b", LONG, LONG + "1", "é" * 200, "\udc80",
]  # fmt: skip


@pytest.mark.parametrize("text", ["test_hr07[bpf-ipv4]", "a.b", "-a", "é", "x" * LONGEST])
def test_a_safe_name_stays_as_it_is(text):
    assert file_name(text) == text


@pytest.mark.parametrize("text", UNSAFE, ids=range(len(UNSAFE)))
def test_any_other_becomes_a_name_that_a_file_can_have(tmp_path, text):
    name = file_name(text)
    assert name == file_name(text)
    assert name != text
    assert not set(name) & set('/\0:"<>|*?\\ \r\n\x1b\u202e')
    assert len(name.encode()) <= LONGEST
    (tmp_path / name).touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_two_share_a_name():
    assert len({file_name(text) for text in UNSAFE}) == len(UNSAFE)


@pytest.mark.parametrize(
    "nodeid",
    [
        "../outside/test_x.py::test_it", "../../test_x.py::test_it", "/test_x.py::test_it",
        "test_x.py::test_it[../../../etc]", "test_x.py::test_it[a/../..]", "test_x.py::..",
        "test_x.py", "::test_it", "::..", f"test_x.py::test_it[{LONG}]",
        f"{LONG}/test_x.py::TestIt::test_it",
    ],
)  # fmt: skip
def test_a_tests_directory_is_below_the_one_it_is_put_in(tmp_path, nodeid):
    path = tmp_path / directory_of_test(nodeid, OUTSIDE)
    path.mkdir(parents=True)
    assert path.resolve() == path
    assert path.is_relative_to(tmp_path)
    assert path != tmp_path


def test_the_usual_test_has_a_readable_directory():
    nodeid = "testbeds/one_node/test_legs.py::test_hr07_ping[bpf-ipv4]"
    found = directory_of_test(nodeid, Path("/any/test_legs.py"))
    assert str(found) == "testbeds/one_node/test_legs/test_hr07_ping[bpf-ipv4]"


def test_tests_of_one_name_in_two_modules_do_not_collide():
    ids = ["a.py::b", "a.py::b/c", "a/b.py::c", "a.py::b::c", "../a.py::b", "::b"]
    assert len({directory_of_test(nodeid, OUTSIDE) for nodeid in ids}) == len(ids)
    assert directory_of_test("::b", OUTSIDE) != directory_of_test("::b", OUTSIDE.with_name("y.py"))
