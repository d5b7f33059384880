# SPDX-License-Identifier: Apache-2.0
"""Where a record comes from: the machine, and the state of the checkout."""

import subprocess

import pytest

from harness.plumbing.errors import MissingToolError
from harness.results import provenance
from harness.results.provenance import git_state, machine_facts
from harness.results.run import Git

UNKNOWN = Git(commit=None, dirty=None)


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
    assert git_state(path) == Git(commit=git("rev-parse", "HEAD"), dirty=False)


@pytest.mark.parametrize("name", ["file", "new"])
def test_a_changed_or_a_new_file_makes_it_dirty(checkout, name):
    path, git = checkout
    (path / name).write_text("2")
    assert git_state(path) == Git(commit=git("rev-parse", "HEAD"), dirty=True)


def test_asking_changes_nothing(checkout):
    path, _ = checkout
    index = path / ".git" / "index"
    (path / "file").touch()  # git would write its refreshed index
    before = index.stat().st_mtime_ns
    git_state(path)
    assert index.stat().st_mtime_ns == before


def test_another_users_checkout_is_asked_too(checkout, monkeypatch):
    path, _ = checkout
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests use it
    assert git_state(path).commit is not None


def test_without_a_checkout_a_commit_or_git_it_is_not_known(tmp_path, monkeypatch):
    assert git_state(tmp_path) == UNKNOWN
    assert git_state(tmp_path / "absent") == UNKNOWN
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert git_state(tmp_path) == UNKNOWN

    def missing(*_):
        raise MissingToolError("git is not installed")

    monkeypatch.setattr(provenance, "run", missing)
    assert git_state(tmp_path) == UNKNOWN


def test_the_machine_is_told_apart_and_not_named(tmp_path, monkeypatch):
    identity = tmp_path / "machine-id"
    monkeypatch.setattr(provenance, "_MACHINE_ID", str(identity))
    assert machine_facts().machine_id_hash == ""
    hashes = []
    for text in ("a" * 32, "b" * 32, "a" * 32):
        identity.write_text(f"{text}\n")
        hashes.append(machine_facts().machine_id_hash)
        assert text not in str(machine_facts())
    assert len(hashes[0]) == 16
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize(("said", "kept"), [("kvm", "kvm"), ("emulation", "emulation"), ("x", "")])
def test_a_machine_of_our_own_says_what_runs_it(monkeypatch, said, kept):
    monkeypatch.setenv(provenance.ACCELERATOR_VARIABLE, said)
    assert machine_facts().accelerator == kept


def test_the_boot_is_this_one():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        assert machine_facts().boot_id == file.read().strip()
