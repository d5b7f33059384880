# SPDX-License-Identifier: Apache-2.0
"""The state of the checkout that a record names."""

import os
import subprocess

import pytest

from harness.errors import MissingToolError
from harness.record import checkout as checkout_room
from harness.record.checkout import git_state

UNKNOWN = {"commit": None, "dirty": None}


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one commit, and a function that runs git in it."""

    def git(*arguments):
        options = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
        argv = ["git", "-C", str(tmp_path), *options, *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "README").write_text("is in the checkout, and not in a guest's")
    (tmp_path / ".gitignore").write_text("/results/*.json\n")
    git("add", ".")
    git("commit", "-qm", "first")
    return tmp_path, git


def test_a_clean_checkout_is_its_commit(checkout):
    path, git = checkout
    (path / "results" / "run.json").write_text("what runs leave is no change")
    (path / "results" / "README").unlink()
    assert git_state(path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}


@pytest.mark.parametrize("name", ["file", "new"])
def test_a_changed_or_a_new_file_makes_it_dirty(checkout, name):
    path, git = checkout
    (path / name).write_text("2")
    assert git_state(path) == {"commit": git("rev-parse", "HEAD"), "dirty": True}


def test_asking_changes_nothing(checkout):
    path, _ = checkout
    index = path / ".git" / "index"
    (path / "file").touch()  # git would write its refreshed index
    before = index.stat().st_mtime_ns
    git_state(path)
    assert index.stat().st_mtime_ns == before


def test_without_a_checkout_a_commit_or_git_it_is_not_known(tmp_path, monkeypatch):
    assert git_state(tmp_path) == UNKNOWN
    assert git_state(tmp_path / "absent") == UNKNOWN
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert git_state(tmp_path) == UNKNOWN

    def missing(*_):
        raise MissingToolError("git is not installed")

    monkeypatch.setattr(checkout_room, "find_tool", missing)
    assert git_state(tmp_path) == UNKNOWN


def test_a_repository_above_is_not_ours(checkout):
    path, _ = checkout
    (path / "below").mkdir()
    assert git_state(path / "below") == UNKNOWN


def test_a_worktree_has_its_own_commit(checkout, tmp_path_factory):
    path, git = checkout
    worktree = tmp_path_factory.mktemp("worktrees") / "one"
    git("worktree", "add", "-q", "--detach", str(worktree))
    assert git_state(worktree) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (worktree / "file").write_text("2")
    assert git_state(worktree)["dirty"] is True
    assert git_state(path)["dirty"] is False


def test_links_on_the_way_are_followed(checkout, tmp_path_factory):
    path, git = checkout
    links = tmp_path_factory.mktemp("links")
    (links / "absolute").symlink_to(path)
    (links / "relative").symlink_to(os.path.relpath(path, links))
    (links / "round").symlink_to("round")
    for name in ("absolute", "relative"):
        assert git_state(links / name)["commit"] == git("rev-parse", "HEAD")
    assert git_state(links / "round") == UNKNOWN


def test_variables_that_name_another_do_not_count(checkout, tmp_path_factory, monkeypatch):
    path, _ = checkout
    before = git_state(path)
    other = tmp_path_factory.mktemp("other")
    (other / "config").write_text("[core]\n\tbare = no sense")
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(other / "config"))
    assert git_state(path) == before


@pytest.mark.parametrize("name", [".", ".git", ".git/config", ".git/HEAD", ".git/info"])
def test_what_anybody_can_change_is_not_asked(checkout, name):
    path, _ = checkout
    assert git_state(path) != UNKNOWN
    (path / name).chmod(0o777)
    assert git_state(path) == UNKNOWN


def test_a_commit_that_is_none_is_not_recorded(checkout, monkeypatch):
    path, _ = checkout
    monkeypatch.setattr(checkout_room, "_answer", lambda *_, **__: b"\x1b[2Jgate passed\n")
    assert git_state(path) == UNKNOWN


@pytest.mark.parametrize("text", ["", "gitdir: ", "gitdir: nowhere", "elsewhere", "gitdir: .git"])
def test_a_file_that_names_no_repository(tmp_path, text):
    (tmp_path / ".git").write_text(text)
    assert git_state(tmp_path) == UNKNOWN


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / ".git")
    assert git_state(tmp_path) == UNKNOWN


@pytest.mark.parametrize("does", ["exec sleep 1000", "exec yes >&2", "exec yes"])
def test_what_git_runs_has_an_end(checkout, monkeypatch, does):
    path, git = checkout
    program = path / "results" / "clean"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    git("config", "filter.slow.clean", str(program))
    (path / ".gitattributes").write_text("file filter=slow\n")
    (path / "file").write_text("3")
    monkeypatch.setattr(checkout_room, "_SECONDS", 1.0)
    assert git_state(path) == UNKNOWN
