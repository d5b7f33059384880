# SPDX-License-Identifier: Apache-2.0
"""Descriptions of foreign datapaths: what they say, and what is refused."""

import os
from pathlib import Path

import pytest

from harness.datapath.brought.description import DescriptionError
from harness.datapath.brought.filling import EACH
from harness.datapath.brought.placeholders import PLACEHOLDERS
from harness.datapath.brought.reader import _description, _parse, read
from harness.datapath.brought.table import Table
from harness.datapath.claims import ClaimError
from harness.plumbing.trusted import TrustedDirectory
from harness.topology import Family

WHOLE = """
[datapath]
name = "mine"
version = "1.2"
url = "https://example.org/mine"
families = ["ipv4"]
needs = ["fib_lookup"]

[datapath.claims]
bypasses_stack = "yes"
delivers = "peer"
forwards = "neigh"
decrements_ttl = true
time_exceeded = ["ipv4"]
source_check = "yes"
too_big = false
refusing_routes = "none"

[testbed]
gateway = "lxc"
forwarding = false
uplinks = "first"
"""


def describe(path, text):
    path.write_text(text)
    return _description(path, "", Table(path.name, "", _parse(path, text.encode())))


def test_a_whole_description(tmp_path):
    found = describe(tmp_path / "mine.toml", WHOLE)
    assert found.title == "mine 1.2 (https://example.org/mine)"
    assert found.families == {Family.ipv4}
    assert found.needs == {"fib_lookup"}
    assert str(found.claims) == (
        "bypasses_stack = yes; delivers = peer; forwards = neigh; decrements_ttl = yes;"
        " time_exceeded = ipv4; source_check = ipv4"
    )
    assert (found.testbed.gateway, found.testbed.forwarding, found.testbed.uplinks) == (
        "lxc", False, "first",
    )  # fmt: skip


#: What is wrong → what replaces what in the whole description, and the message.
WRONG = {
    "no claim": (
        "delivers", "arrives", "mine.toml: [datapath.claims] arrives: there is no such claim",
    ),
    "no value": (
        '"neigh"', '"pigeon"',
        "mine.toml: [datapath.claims] forwards: it cannot be 'pigeon': use stack, redirect, neigh",
    ),
    "no family": (
        'time_exceeded = ["ipv4"]', 'time_exceeded = ["ipx"]',
        "mine.toml: [datapath.claims] time_exceeded: it cannot be ['ipx']: use yes, no, ipv4, ipv6",
    ),
    "another family": (
        'time_exceeded = ["ipv4"]', 'time_exceeded = ["ipv6"]',
        "mine.toml: [datapath.claims] time_exceeded: it cannot be ['ipv6']",
    ),
    "contradiction": (
        '"neigh"', '"stack"', "mine.toml: [datapath.claims]: claims contradict each other",
    ),
    "unknown key": ("version", "vresion", "mine.toml: [datapath] vresion: is unknown: use name"),
    "no name": ('name = "mine"', "", "mine.toml: [datapath] name: is missing"),
    "two names": ('"mine"', '"mine,yours"', "mine.toml: [datapath] name: 'mine,yours' is no name"),
    "two lines": ('"1.2"', '"1\\n2"', "mine.toml: [datapath] version: '1\\n2' is not one line"),
    "wrong type": ("= false\nuplinks", '= "off"\nuplinks',
                   "mine.toml: [testbed] forwarding: 'off' is not true or false"),
    "no feature": ('"fib_lookup"', '"warp"', "mine.toml: [datapath] needs: 'warp' is unknown"),
    "no choice": ('"lxc"', '"moon"',
                  "mine.toml: [testbed] gateway: 'moon' is unknown: use lxc or nowhere"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "message"), WRONG.values(), ids=list(WRONG))
def test_what_is_wrong_is_one_line(before, after, message, tmp_path):
    assert before in WHOLE
    with pytest.raises((DescriptionError, ClaimError)) as refused:
        describe(tmp_path / "mine.toml", WHOLE.replace(before, after, 1))
    assert str(refused.value).startswith(message.replace("\n", "\\n"))
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 13


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = ", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"a = " + b"[" * 5000, "is not TOML"),
        (WHOLE.encode(), "has no [[attach]] nor [command]"),
        (WHOLE.encode() + b"[command]\n[[attach]]", "has both [[attach]] and [command]"),
        (b" " * ((1 << 20) + 1), "larger than 1 MiB"),
    ],
)
def test_files_that_describe_nothing(content, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(DescriptionError, match=message.replace("[", r"\[")):
        read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DescriptionError, match=r"mine.toml: cannot be read \(No such file"):
        read(tmp_path / "mine.toml")
    with pytest.raises(DescriptionError, match="cannot be read"):
        read(tmp_path)


def test_the_page_has_every_placeholder_and_place():
    page = (Path(__file__).parents[3] / "docs" / "your-datapath.md").read_text(encoding="utf-8")
    for name, row in PLACEHOLDERS.items():
        size = str(row.size) if row.size else "a number"
        at = ", ".join(row.at) or "everywhere"
        assert f"| `{{{name}}}` | {size} | {at} | {row.meaning} |" in page
    assert f"a row for each: {', '.join(EACH)}\n" in page


# ------------------------------------------------------------------------------------------- trust


@pytest.fixture
def trusted(tmp_path):
    (tmp_path / "mine.toml").write_text("")
    (tmp_path / "below").mkdir(mode=0o755)
    (tmp_path / "below" / "mine.o").write_bytes(b"content")
    tmp_path.chmod(0o755)
    with TrustedDirectory(tmp_path / "mine.toml", 100) as directory:
        yield directory


def test_what_lies_below_is_read_and_hashed(trusted):
    found = trusted.read("below/mine.o", 100)
    assert found.content == b"content"
    assert found.sha256.startswith("ed7002b439e9ac84")
    assert not found.executable


#: What is done to a path below the directory → the refusal.
UNTRUSTED = {
    "group may write": ("below/mine.o", lambda p: p.chmod(0o664), "others may write"),
    "all may write": ("below/mine.o", lambda p: p.chmod(0o646), "others may write"),
    "its directory": ("below", lambda p: p.chmod(0o775), "others may write below"),
    "the description's directory": (
        ".", lambda p: p.chmod(0o777), "others may write its directory",
    ),
    "a link": (
        "below/mine.o", lambda p: p.rename(p.with_name("x.o")) and p.symlink_to("x.o"), "link",
    ),
    "a link on the way": (
        "below", lambda p: p.rename(p.with_name("x")) and p.symlink_to("x"), "link",
    ),
    "a directory": ("below/mine.o", lambda p: p.unlink() or p.mkdir(), "Is a directory"),
    "a fifo": ("below/mine.o", lambda p: p.unlink() or os.mkfifo(p, 0o600), "not a regular file"),
    "gone": ("below/mine.o", lambda p: p.unlink(), "No such file"),
    "too large": ("below/mine.o", lambda p: p.write_bytes(b"x" * 101), "larger than"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "spoil", "why"), UNTRUSTED.values(), ids=list(UNTRUSTED))
def test_what_is_not_trusted(path, spoil, why, trusted):
    spoil(trusted.path / path)
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        trusted.read("below/mine.o", 100)
    assert why in refused.value.strerror


@pytest.mark.parametrize("name", ["../mine.o", "/etc/passwd", "below/../../x", "", "."])
def test_what_does_not_lie_below(name, trusted):
    with pytest.raises(OSError, match="does not lie below"):
        trusted.read(name, 100)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("path", ["below/mine.o", "below", "."])
def test_a_third_users_file(path, trusted):
    os.chown(trusted.path / path, 12345, 0)
    with pytest.raises(PermissionError, match="belongs to user 12345"):
        trusted.read("below/mine.o", 100)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_descriptions_owner_is_trusted(tmp_path):
    (tmp_path / "mine.o").write_bytes(b"content")
    (tmp_path / "mine.toml").write_text("")
    for path in (tmp_path, tmp_path / "mine.o", tmp_path / "mine.toml"):
        os.chown(path, 12345, 0)
    with TrustedDirectory(tmp_path / "mine.toml", 100) as directory:
        assert directory.read("mine.o", 100).content == b"content"
