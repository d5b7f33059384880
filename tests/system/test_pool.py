# SPDX-License-Identifier: Apache-2.0
"""What is compiled and loaded is shared, kept for a while, and let go of."""

from pathlib import Path

from harness.bpf import pool, syscall
from harness.bpf.source import Patch, Source


def test_sources_that_are_no_longer_kept_hold_no_descriptor(hr_machine):
    """Of patched ones two are: a suite of mutants would run out of descriptors otherwise."""
    held, used = [], []
    for turn in range(5):
        patch = Patch("backlog.c", "return 0;", f"return {turn} & 0;")
        source = Source(("backlog.c",), patches=(patch,))
        module = pool.take(source, {"count_enqueue": syscall.PROG_TYPE_RAW_TRACEPOINT})
        pool.give_back(module)
        pool.give_back(module)  # once is enough, twice does no harm
        used.append(module)  # as a test's testbed keeps it
        held.append(len(list(Path("/proc/self/fd").iterdir())))
    assert held[2:] == held[1:2] * 3
    users = [pool.take(used[-1].source, used[-1]._programs) for _ in range(2)]
    assert users[0] is used[-1]
    assert users[1] is not used[-1]
    for module in users:
        pool.give_back(module)
    pool.unload_idle()
    assert len(list(Path("/proc/self/fd").iterdir())) < held[0]
