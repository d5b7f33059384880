# SPDX-License-Identifier: Apache-2.0
"""Names from outside as names of files: the one place that makes them safe. Floor 1."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

#: Longest name, in bytes: an encrypted home directory (eCryptfs) takes 143, most others take 255.
LONGEST = 140
_DIGITS = 16  # of the digest: two names in 4 billion share one with a chance of a half
# GitHub's artifacts refuse a colon and a few others.
_UNSAFE = re.compile(r"[^\w.\[\]=+,@-]")


def file_name(text: str) -> str:
    """One component of a path that stands for `text`; the same text always gives the same.

    A text that is a safe name already is returned as it is. Any other has unsafe characters
    replaced, is cut to `LONGEST` bytes, and gets a digest of the whole text, so that two texts
    never share a name.
    """
    safe = _UNSAFE.sub("_", text)
    if safe == text and safe.strip(".") and len(safe.encode()) <= LONGEST:
        return safe
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    # Not one of dots, and not in the middle of a character.
    kept = safe.strip(".").encode()[: LONGEST - _DIGITS - 1].decode(errors="ignore")
    return f"{kept}-{digest}"


def directory_of_test(nodeid: str, path: Path) -> Path:
    """A relative path for a test's files: its module's path, then one component for the test.

    Args:
        nodeid: pytest's, as in `testbeds/one_node/test_legs.py::test_hr07[bpf-ipv4]`. That of a
            test outside the root directory names no module, or begins with `../`.
        path: The module's file, which tells such tests apart.
    """
    module, _, test = nodeid.partition("::")
    parts = (module or str(path).lstrip("/")).removesuffix(".py").split("/")
    return Path(*map(file_name, [*parts, test] if test else parts))
