# SPDX-License-Identifier: Apache-2.0
"""What `with` closes: a base for objects that have a `close`."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closable:
    """Leaving the context calls `close`."""

    def close(self) -> None:
        """Give back what the object holds."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
