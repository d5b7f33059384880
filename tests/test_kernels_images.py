# SPDX-License-Identifier: Apache-2.0
"""Images of what a guest reads."""

import shutil

import pytest

from harness.errors import (
    GuestError,
)
from harness.kernels.files import checkout, with_links
from harness.kernels.image import Images, build, digest
from harness.kernels.tools import run


def test_links_on_the_way_are_kept(tmp_path):
    real = tmp_path / "real" / "python"
    real.parent.mkdir()
    real.write_text("x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "again").symlink_to(tmp_path / "link")
    found = list(with_links([tmp_path / "again" / "python"]))
    assert found == [tmp_path / "again", tmp_path / "link", real]


def test_a_checkout_is_the_projects_files(tmp_path):
    for name in ("a.py", "__pycache__/a.pyc", ".git/x", ".tox/y", "results/z", "env/pyvenv.cfg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert checkout(tmp_path) == [tmp_path / "a.py"]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "directory").mkdir(parents=True)
    (root / "directory").chmod(0o710)
    (root / "directory" / "file").write_text("contents")
    (root / "directory" / "link").symlink_to("file")
    (root / "large").write_bytes(bytes(3 << 20))
    return root


def test_an_image_holds_files_at_their_own_paths(tree, tmp_path):
    made = tmp_path / "image.ext4"
    paths = [*with_links([tree]), tree / "gone meanwhile"]
    build(paths, made, {tree / "new" / "name": tree / "directory" / "file"})

    def debugfs(command):
        return run(["/usr/sbin/debugfs", "-R", command, str(made)])

    assert debugfs(f"cat {tree}/directory/file") == "contents"
    assert debugfs(f"cat {tree}/new/name") == "contents"
    assert "Mode:  0710" in debugfs(f"stat {tree}/directory")
    assert "symlink" in debugfs(f"stat {tree}/directory/link")
    assert (tree / "large").stat().st_nlink == 1  # the host's own files are as they were
    assert not list(tmp_path.glob(".stage-*"))


def test_an_image_is_made_anew_when_a_file_changes(tree):
    paths = list(with_links([tree]))
    before = digest(paths)
    assert digest(paths) == before
    (tree / "directory" / "file").write_text("contents changed")
    assert digest(paths) != before


def test_no_room_for_an_image(tree, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(GuestError, match=r"cannot be made \(No space left on device\): make room"):
        build(list(with_links([tree])), tmp_path / "image.ext4")
    assert not list(tmp_path.glob(".stage-*"))


def test_images_are_cached_and_pruned(tree, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.kernels.image.files.needed", lambda: [tree])
    cache = Images(tmp_path / "images")
    with cache.of_host() as first:
        made = first.stat().st_ino
        assert cache.prune() == []  # it is in use
    with cache.of_host() as again:
        assert (again, again.stat().st_ino) == (first, made)
    (tmp_path / "images" / f".partial-{first.name}").touch()
    (tmp_path / "images" / f".stage-.partial-{first.name}-x").mkdir()
    assert sorted(cache.prune()) == sorted([first.name, f".partial-{first.name}"])
    assert not [path for path in (tmp_path / "images").iterdir() if ".lock" not in path.name]
    with cache.of_host() as third:
        assert third == first
        assert third.exists()
