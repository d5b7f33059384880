# SPDX-License-Identifier: Apache-2.0
"""What the command line prints: every line of it goes through here, harmless.

No other module of the command line calls print() (tests/unit/plumbing/test_printable.py).
"""

from __future__ import annotations

import json
import sys
import threading

from harness.plumbing.printable import one_line

_speaking = threading.Lock()


def show(*texts: str) -> None:
    """Lines on stdout."""
    if texts:
        print("\n".join(map(one_line, texts)), flush=True)


def say(text: str) -> None:
    """A line on stderr; several threads have something to say."""
    with _speaking:
        print(one_line(text), file=sys.stderr, flush=True)


def complain(error: object) -> None:
    """An error, or what else went wrong, as a line on stderr."""
    say(f"hostroute: {error}")


def show_json(document: object, indent: int | None = None) -> None:
    """A document for machines, its texts as they are: JSON escapes all that a terminal may obey."""
    print(json.dumps(document, indent=indent).replace("\x7f", "\\u007f"))
