# SPDX-License-Identifier: Apache-2.0
"""Checkouts that are, in part or whole, another user's: nothing of theirs runs as root.

The other user is a number of no account. Each checkout's configuration names a program in every
way that git knows; the program notes whom it runs as.
"""

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import results
from harness.results.run import Git
from tests.support.run_cli import end, pytest_of, start

pytestmark = pytest.mark.usefixtures("hr_machine")

USER, ANOTHER = 12345, 54321
UNKNOWN = Git(commit=None, dirty=None)
PROGRAM = """#!/bin/sh
cut -d' ' -f6 /proc/self/stat >"{ran}/$(id -u)"
cat
"""
CONFIGURATION = """
[core]
    fsmonitor = {program}
    hooksPath = {hooks}
    pager = {program}
    editor = {program}
    sshCommand = {program}
    alternateRefsCommand = {program}
[filter "noting"]
    clean = {program}
    smudge = {program}
[alias]
    status = !{program}
    rev-parse = !{program}
[diff]
    external = {program}
[status]
    submoduleSummary = true
"""


class Place:
    """A directory like /tmp, where another user waits.

    Attributes:
        root: The directory.
        checkout: Where the checkout is.
    """

    def __init__(self, root):
        self.root, self.checkout = root, root / "checkout"
        root.chmod(0o1777)
        self._ran = root / "ran"
        self._ran.mkdir()
        self._ran.chmod(0o1777)
        program, hooks = root / "program", root / "hooks"
        program.write_text(PROGRAM.format(ran=self._ran))
        program.chmod(0o755)
        hooks.mkdir()
        for name in ("post-index-change", "reference-transaction", "post-checkout"):
            (hooks / name).symlink_to(program)
        self.evil = root / "evil"
        self.evil.write_text(CONFIGURATION.format(program=program, hooks=hooks))

    def git(self, directory, *arguments, user=0):
        """Run git as a user who has nothing of root's."""
        options = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "protocol.file.allow=always"]
        ended = subprocess.run(
            ["git", "-C", str(directory), *options, *arguments], user=user, group=user,
            extra_groups=[], env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return ended.stdout.strip()

    def repository(self, directory, user=0, evil=True):
        """A repository with one commit and one change; returns the commit."""
        directory.mkdir(exist_ok=True)
        os.chown(directory, user, user)
        self.git(directory, "init", "-q", user=user)
        for name, text in (("file", "1"), (".gitattributes", "file filter=noting\n")):
            (directory / name).write_text(text)
            os.chown(directory / name, user, user)
        self.git(directory, "add", "file", ".gitattributes", user=user)
        self.git(directory, "commit", "-qm", "first", user=user)
        commit = self.git(directory, "rev-parse", "HEAD", user=user)
        (directory / "file").write_text("2")
        if evil:
            self.infect(directory / ".git")
        return commit

    def infect(self, repository):
        """Have a configuration name the program, directly and by include.path."""
        with (repository / "config").open("a") as file:
            file.write(f"[include]\n    path = {self.evil}\n{self.evil.read_text()}")
        for hook in (self.root / "hooks").iterdir():
            (repository / "hooks" / hook.name).symlink_to(self.root / "program")

    def seen(self):
        """What a record says of the checkout, and as whom the program ran meanwhile."""
        for path in self._ran.iterdir():
            path.unlink()
        found = results.begin(self.checkout, []).git
        return found, self.ran()

    def ran(self):
        """As whom the program ran."""
        return {int(path.name) for path in self._ran.iterdir()}

    def session(self, user):
        """The session (setsid(2)) that the program ran in."""
        return int((self._ran / str(user)).read_text())


@pytest.fixture
def place():
    root = Path(tempfile.mkdtemp(prefix="hostroute-test-"))
    yield Place(root)
    shutil.rmtree(root)


def owned(path, user):
    """Give a directory with all in it to a user."""
    for each in (path, *path.rglob("*")):
        os.chown(each, user, user, follow_symlinks=False)


# -------------------------------------------------------------------------------- the attack


@pytest.mark.parametrize("user", [USER, 65534])
def test_a_repository_above_the_checkout_is_not_asked(place, user):
    place.repository(place.root / "theirs", user)
    (place.root / "theirs" / ".git").rename(place.root / ".git")
    place.checkout.mkdir()
    assert place.seen() == (UNKNOWN, set())


@pytest.mark.parametrize("where", ["above", "own"])
def test_nor_in_a_run(place, where):
    commit = place.repository(place.checkout, USER)
    if where == "above":
        (place.checkout / ".git").rename(place.root / ".git")
        owned(place.checkout, 0)
    (place.checkout / "test_child.py").write_text("def test_hr07_x(hr_observed): pass\n")
    ended = end(start(pytest_of(
        "-q", "-m", "conformance", "-p", "pytest_hostroute", "--hr-record",
        str(place.checkout / "test_child.py"), rootdir=place.checkout,
    )))  # fmt: skip
    assert ended.code == 0, ended.text
    (found,) = results.read_all([place.checkout / "results"])
    known = Git(commit=commit, dirty=True)
    assert found.git == (known if where == "own" else UNKNOWN)
    assert place.ran() == ({USER} if where == "own" else set())


def test_a_users_checkout_is_asked_as_that_user(place):
    commit = place.repository(place.checkout, USER)
    assert place.seen() == (Git(commit=commit, dirty=True), {USER})
    # Not in ours: it could write to the terminal as if that were typed.
    assert place.session(USER) != os.getsid(0)


def test_so_is_a_users_repository_in_a_checkout_of_roots(place):
    commit = place.repository(place.checkout, USER)
    os.chown(place.checkout, 0, 0)
    assert place.seen() == (Git(commit=commit, dirty=True), {USER})


def test_so_is_a_checkout_of_roots_in_a_users_directory(place):
    home = place.root / "home"
    home.mkdir()
    place.checkout = home / "checkout"
    commit = place.repository(place.checkout)
    os.chown(home, USER, USER)  # who can put another in its place at any time
    assert place.seen() == (Git(commit=commit, dirty=True), {USER})


def test_so_is_one_that_a_users_link_leads_to(place):
    commit = place.repository(place.root / "roots")
    place.checkout.symlink_to(place.root / "roots")
    os.chown(place.checkout, USER, USER, follow_symlinks=False)
    assert place.seen() == (Git(commit=commit, dirty=True), {USER})


def test_so_is_roots_repository_whose_configuration_is_a_users(place):
    commit = place.repository(place.checkout)
    os.chown(place.checkout / ".git" / "config", USER, USER)
    assert place.seen() == (Git(commit=commit, dirty=True), {USER})


@pytest.mark.parametrize("directory", ["repository", "worktree", "shared"])
def test_so_is_a_worktree_of_which_a_part_is_a_users(place, directory):
    main = place.root / "main"
    commit = place.repository(main, evil=False)
    place.git(main, "worktree", "add", "-q", "--detach", str(place.checkout))
    (place.checkout / "file").write_text("2")
    place.infect(main / ".git")
    repository = main / ".git" / "worktrees" / "checkout"
    given = {"worktree": place.checkout / ".git", "repository": repository, "shared": main / ".git"}
    os.chown(given[directory], USER, USER)
    assert place.seen() == (Git(commit=commit, dirty=True), {USER})


def test_what_two_users_can_change_is_not_asked(place):
    place.repository(place.checkout, USER)
    os.chown(place.checkout / ".git", ANOTHER, ANOTHER)
    assert place.seen() == (UNKNOWN, set())


@pytest.mark.parametrize("name", [".", ".git", ".git/config", ".git/info"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775], ids=oct)
def test_nor_what_others_can_change_of_roots(place, name, mode):
    place.repository(place.checkout)
    path = place.checkout / name
    path.chmod(mode)
    if mode == 0o775:
        os.chown(path, 0, USER)
    # What is in a sticky directory stays there: nobody but root can change its `.git`.
    if (name, mode) == (".", 0o1777):
        assert place.seen()[0] != UNKNOWN
    else:
        assert place.seen() == (UNKNOWN, set())


def access_list(*entries):
    """A POSIX ACL as the kernel takes it (linux/posix_acl_xattr.h): tag, rights, user or group."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_nor_what_a_list_lets_another_change(place):
    place.repository(place.checkout)
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), (2, 6, USER), (4, 4, nobody), (16, 6, nobody), (32, 4, nobody)]
    config = place.checkout / ".git" / "config"
    os.setxattr(config, "system.posix_acl_access", access_list(*entries))
    assert config.stat().st_mode & 0o777 == 0o664  # looks as if only root's group could
    assert place.seen() == (UNKNOWN, set())


def test_nor_a_configuration_of_roots_that_includes_a_users(place):
    place.repository(place.checkout, evil=False)
    place.git(place.checkout, "config", "include.path", str(place.evil))
    os.chown(place.evil, USER, USER)
    assert place.seen() == (UNKNOWN, set())


def test_submodules_of_users_are_not_entered(place):
    place.repository(place.root / "theirs", USER, evil=False)
    commit = place.repository(place.checkout, evil=False)
    theirs = place.checkout / "theirs"
    shutil.move(place.root / "theirs", theirs)
    os.chown(theirs, 0, 0)  # for git to take it in
    os.chown(theirs / ".git", 0, 0)
    place.git(place.checkout, "add", "theirs")
    place.git(place.checkout, "commit", "-qm", "second")
    place.infect(theirs / ".git")
    owned(theirs, USER)
    found, ran = place.seen()
    assert found.commit not in (None, commit)
    assert ran == set()


# -------------------------------------------------------------------------- the usual cases


def test_a_users_own_checkout_and_worktree_are_recorded(place):
    commit = place.repository(place.root / "main", USER, evil=False)
    place.git(place.root / "main", "checkout", "-q", "--", "file", user=USER)
    place.git(
        place.root / "main", "worktree", "add", "-q", "--detach", str(place.checkout), user=USER
    )
    for checkout in (place.root / "main", place.checkout):
        place.checkout = checkout
        assert place.seen() == (Git(commit=commit, dirty=False), set())
        (place.checkout / "new").touch()
        assert place.seen() == (Git(commit=commit, dirty=True), set())


def test_asking_leaves_a_users_repository_as_it_is(place):
    place.repository(place.checkout, USER, evil=False)
    index = place.checkout / ".git" / "index"
    before = index.stat()
    assert place.seen()[0] != UNKNOWN
    assert (index.stat().st_uid, index.stat().st_mtime_ns) == (USER, before.st_mtime_ns)


def test_what_the_user_cannot_read_is_not_known(place):
    place.repository(place.checkout, USER)
    shut = place.root / "shut"
    shut.mkdir(mode=0o700)
    place.checkout.rename(shut / "checkout")
    place.checkout = shut / "checkout"
    assert place.seen() == (UNKNOWN, set())
