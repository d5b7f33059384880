# SPDX-License-Identifier: Apache-2.0
"""`hostroute inspect --watch`: what was counted so far, every second."""

from __future__ import annotations

import sys
import time

from rich.live import Live
from rich.text import Text

from harness.cli.output import show
from harness.inspect.found import Found
from harness.inspect.lines import leaks, traffic
from harness.inspect.verdict import Verdict, judge
from harness.inspect.window import Window
from harness.plumbing.printable import one_line
from harness.plumbing.signals import interruptible

_TURN = 1.0  # seconds


def watch(found: Found, window: Window, seconds: float) -> None:
    """Show it until Ctrl-C or until the time is over.

    On a terminal a table is drawn anew; anywhere else each second is a line.

    Args:
        found: What is there.
        window: What counts.
        seconds: How long.

    Raises:
        KeyboardInterrupt: By another signal than Ctrl-C's: the verdict is not asked for.
    """
    end = time.monotonic() + seconds
    live = Live(auto_refresh=False) if sys.stdout.isatty() else None
    try:
        if live is not None:
            live.start()
        while (left := end - time.monotonic()) > 0:
            with interruptible():
                time.sleep(min(_TURN, left))
            verdict = judge(found, window.look())
            if live is None:
                show(str(verdict))
            else:
                live.update(Text("\n".join(map(one_line, _table(verdict)))), refresh=True)
    except KeyboardInterrupt as interrupt:
        if interrupt.args:
            raise
    finally:
        if live is not None:
            live.stop()


def _table(verdict: Verdict) -> list[str]:
    return [str(verdict), *traffic(verdict.pods), *leaks(verdict), "Ctrl-C: the whole verdict"]
