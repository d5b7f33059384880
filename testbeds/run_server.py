# SPDX-License-Identifier: Apache-2.0
"""Many short runs of pytest, each a fork of this process: `python -m testbeds.run_server`.

It has imported and compiled what a run needs, which takes longer than the run. Each line it reads
is a run's order, as JSON, and is answered by the run's exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from typing import Any

import pytest

from harness import scratch
from harness.bpf import pool
from harness.bpf.bcc_import import bcc
from harness.bpf.headers import kernel_source
from harness.datapath import DATAPATHS, HostRouting

#: Not the plugins: pytest rewrites their assertions when it imports them.
_IMPORTS = ("harness.bench", "harness.cli", "harness.testbed", "scipy.stats", "scapy.layers.inet6")


def _begin(order: dict[str, Any]) -> None:
    """In the fork: become the run."""
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, fd in ((0, nothing), (1, output), (2, output)):
        os.dup2(fd, target)
    os.close(nothing)
    os.close(output)
    os.environ.update(order["environment"])


def _compile() -> None:
    """Compile the programs of `bpf`, and give back the directory that it took: it has an owner."""
    datapath = DATAPATHS["bpf"]
    assert isinstance(datapath, HostRouting)
    pool.compiled(datapath.source)
    scratch.remove(kernel_source())
    kernel_source.cache_clear()


def main() -> int:
    """Serve orders until there are no more; in a fork, run one."""
    with warnings.catch_warnings():  # BCC's, should Python have to compile it: see pyproject.toml
        warnings.simplefilter("ignore")
        for name in _IMPORTS:
            importlib.import_module(name)
        bcc()
    _compile()
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            order = json.loads(line)
            _begin(order)
            return int(pytest.main(order["arguments"]))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
