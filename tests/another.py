# SPDX-License-Identifier: Apache-2.0
"""What another user made, for tests that may run as root or as anybody."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534


class Another:
    """Another user, who owns what is given to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._theirs: set[tuple[int, int]] = set()
        if os.geteuid():  # who may not give anything away only says so
            for name in ("stat", "fstat"):
                monkeypatch.setattr(os, name, self._lying(getattr(os, name)))

    def owns(self, path: Path) -> Path:
        """Make it theirs."""
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        found = path.lstat()
        self._theirs.add((found.st_dev, found.st_ino))
        return path

    def links(self, path: Path, target: Path | str) -> Path:
        """Their symbolic link."""
        path.symlink_to(target)
        return self.owns(path)

    def _lying(self, stat: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def lie(*arguments: Any, **options: Any) -> os.stat_result:
            found = stat(*arguments, **options)
            if (found.st_dev, found.st_ino) not in self._theirs:
                return found
            return os.stat_result((*found[:4], NOBODY, NOBODY, *found[6:10]))

        return lie
