# SPDX-License-Identifier: Apache-2.0
"""What another user made, for tests that may run as root or as anybody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

NOBODY = 65534


class Another:
    """Another user, who owns what is given to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def owns(self, path: Path) -> Path:
        """Make it theirs; without the right to give it away, become somebody else instead."""
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        else:
            self._monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        return path

    def links(self, path: Path, target: Path | str) -> Path:
        """Their symbolic link."""
        path.symlink_to(target)
        return self.owns(path)
