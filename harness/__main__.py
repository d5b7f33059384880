# SPDX-License-Identifier: Apache-2.0
"""`hostroute`, `python -m harness`: the command line, which Ctrl-C ends without a traceback.

Its imports and its parser take a third of a second, in which Python would answer Ctrl-C with the
traceback of an import. Until `harness.cli` defers interrupts itself, SIGINT does what it does to
any program.
"""

import signal
import sys

from harness import __version__


def main() -> int:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:  # the commands' imports take a CPU-second
        print(f"hostroute {__version__}")  # noqa: T201
        return 0
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from harness.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
