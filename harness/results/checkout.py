# SPDX-License-Identifier: Apache-2.0
"""The state of a checkout, asked of git with no right that the checkout's owner lacks.

git runs what a checkout's configuration names: core.fsmonitor, filters, what include.path brings
in. The harness runs as root, often in a user's checkout, and that configuration is the user's. So
git runs as the one user besides root who can change what it reads, and as root only where there is
none. A race wins nothing: whoever can swap a file between the check and its use is that user.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import select
import signal
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from harness.plumbing.errors import HarnessError
from harness.plumbing.process import find_tool, spawn_tool
from harness.results.run import Git

_SECONDS = 30.0  # for each question
_MOST_LINKS = 40  # as the kernel has it
_MOST_BYTES = 1 << 16  # of an answer, or of a file that says where another is
_ANYBODY = -1  # stands for users who cannot be told apart
_NOBODY = 65534
#: What git reads of a repository that decides what it runs, or what it says.
_PARTS = ("config", "config.worktree", "HEAD", "index", "packed-refs", "refs", "objects", "info",
          "info/attributes", "info/exclude")  # fmt: skip
_COMMIT = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64})\n")
#: None of it is the boundary, which is the user git runs as.
_OPTIONS = ("--no-optional-locks", "--no-pager", "-c", "core.fsmonitor=false",
            "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never")  # fmt: skip
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


class _UntrustedError(Exception):
    """More than one user can change what git reads, or git says what is no answer."""


def git_state(directory: Path) -> Git:
    """Commit and dirty flag of a checkout, each None where it cannot be known.

    Args:
        directory: The checkout's own root: a repository above it is not asked.
    """
    try:
        commit, dirty = _ask(directory.absolute())
    except (HarnessError, OSError, ValueError, _UntrustedError):  # no git, no checkout, no commit
        return Git(commit=None, dirty=None)
    return Git(commit=commit, dirty=dirty)


def _ask(root: Path) -> tuple[str, bool]:
    users: set[int] = set()
    repository = _repository(root, users)
    user = _user(users)
    git = [*_as(user), find_tool("git"), *_OPTIONS, "-C", str(root), f"--git-dir={repository}",
           f"--work-tree={root}"]  # fmt: skip
    if user == 0:
        _check_includes(git, root)
    commit = _COMMIT.fullmatch(_answer([*git, "rev-parse", "HEAD"]))
    if commit is None:
        raise _UntrustedError
    # What runs leave is no change; and in a guest, results/ is another directory. In a submodule
    # git would run what the submodule's configuration names.
    status = [*git, "status", "--porcelain", "--ignore-submodules=dirty"]
    changes = _answer([*status, "--", ":/", ":(exclude)results"], most=1)
    return commit[1].decode(), bool(changes)


# ------------------------------------------------------------------------- who can change it


def _user(users: set[int]) -> int:
    """The user to run git as, of those who can change what it reads."""
    ours = os.geteuid()
    others = users - {0, ours}
    if not others:
        return ours
    if ours != 0 or len(others) > 1 or _ANYBODY in others:
        raise _UntrustedError
    return others.pop()


def _repository(root: Path, users: set[int]) -> Path:
    """The repository of a checkout; adds to `users` each who can change what git reads of it."""
    repository = _walk(root / ".git", users)
    if repository.is_file():  # of a worktree, or of a submodule
        repository = _walk(root / _line(repository, "gitdir: "), users)
    directories = [repository]
    with suppress(FileNotFoundError):
        shared = _line(_walk(repository / "commondir", users))
        directories.append(_walk(repository / shared, users))
    for directory in directories:
        for name in _PARTS:
            with suppress(FileNotFoundError):
                _walk(directory / name, users)
    return repository


def _check_includes(git: list[str], root: Path) -> None:
    """Refuse a configuration of which a part can be changed by another user than root."""
    users: set[int] = set()
    said = _answer([*git, "config", "--list", "--show-origin", "--name-only", "-z"])
    if len(said) == _MOST_BYTES:
        raise _UntrustedError
    for origin in set(said.split(b"\0")[::2]):
        if origin.startswith(b"file:"):
            _walk(root / os.fsdecode(origin.removeprefix(b"file:")), users)
    if users - {0}:
        raise _UntrustedError


def _walk(path: Path, users: set[int]) -> Path:
    """The path without links; adds to `users` each who can change where it leads, or its end."""
    current, parts, links = Path("/"), list(path.parts[1:]), 0
    users |= _writers(current, sticky=True)
    while parts:
        following = Path(os.path.normpath(current / parts.pop(0)))
        users |= _writers(following, sticky=True)
        if following.is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise _UntrustedError
            target = following.readlink()
            parts = [*(target.parts[1:] if target.is_absolute() else target.parts), *parts]
            current = Path("/") if target.is_absolute() else current
        else:
            current = following
    users |= _writers(current, sticky=False)
    return current


def _writers(path: Path, sticky: bool) -> set[int]:
    """Who can write to a file or a directory, or give that away.

    Args:
        path: It; a link is not followed.
        sticky: Whether a directory counts as its owner's where others can only add to it.
    """
    found = path.lstat()
    mode, owner = found.st_mode, found.st_uid
    if stat.S_ISLNK(mode) or (sticky and stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return {owner}
    shared = mode & stat.S_IWGRP and not _only_owners(path, owner, found.st_gid)
    return {owner, _ANYBODY} if shared or mode & stat.S_IWOTH else {owner}


def _only_owners(path: Path, owner: int, group: int) -> bool:
    """Whether what a group can write only its owner can: it is the group of that user alone."""
    with suppress(OSError):  # a file system without
        if "system.posix_acl_access" in os.listxattr(path, follow_symlinks=False):
            return False
    try:
        name, found = pwd.getpwuid(owner).pw_name, grp.getgrgid(group)
    except KeyError:  # of another machine or container: by the custom
        return owner == group
    return found.gr_name == name and set(found.gr_mem) <= {name}


def _line(path: Path, prefix: str = "") -> str:
    """What a file says in its one line, after a prefix."""
    # Whatever the user of the checkout puts there: it neither blocks nor becomes our terminal.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _UntrustedError
        text = os.fsdecode(file.read(_MOST_BYTES)).rstrip("\r\n")
    if not text.startswith(prefix):
        raise _UntrustedError
    return text.removeprefix(prefix)


# ------------------------------------------------------------------------------- asking git


def _as(user: int) -> list[str]:
    """What to put before a command that shall run as another user, and with that one's rights."""
    if user == os.geteuid():
        return []
    try:
        group = pwd.getpwuid(user).pw_gid
    except KeyError:
        group = _NOBODY
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs",
            "--inh-caps=-all", "--bounding-set=-all", "--"]  # fmt: skip


def _answer(argv: list[str], most: int = _MOST_BYTES) -> bytes:
    """What a command prints, `most` bytes of it: more is not waited for.

    Raises:
        _UntrustedError: It failed, or did not end in time.
    """
    # In a session of its own: it shall not write to our terminal as if that were typed (TIOCSTI).
    child = spawn_tool(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_ENVIRONMENT, cwd="/",
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + _SECONDS
    with child:
        try:
            assert child.stdout is not None
            said = _read(child.stdout.fileno(), most, deadline)
            if len(said) == most or not child.wait(max(0.0, deadline - time.monotonic())):
                return said
        except subprocess.TimeoutExpired:
            pass
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()  # after an interrupt, `with` would do so for 0.25 s alone
    raise _UntrustedError


def _read(fd: int, most: int, deadline: float) -> bytes:
    """Read until the end, until there are `most` bytes, or until the deadline."""
    said = b""
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    while len(said) < most and waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
        piece = os.read(fd, most - len(said))
        if not piece:
            break
        said += piece
    return said
