# SPDX-License-Identifier: Apache-2.0
"""What is compiled and loaded is shared, kept for a while, and let go of."""

import ctypes
import errno
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.bpf import pool, syscall
from harness.bpf.compiled import Compiled
from harness.bpf.source import Patch, Source
from harness.datapath.bpf import LOADED, PARTS
from harness.plumbing.errors import BuildError


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


def filled(table):
    """A per-CPU array with something in every value of its first and last entry."""
    for key in (0, len(table) - 1):
        table[ctypes.c_int(key)] = table.Leaf(*[7] * table.total_cpu)
    return table


@pytest.mark.parametrize("batches", [True, False])
def test_an_emptied_map_is_as_it_was_made(hr_machine, monkeypatch, batches):
    def refused(*_):
        raise OSError(errno.EINVAL, "no batches, as before 5.6")

    with ExitStack() as using:
        module = pool.take(Source(PARTS), LOADED)
        using.callback(pool.give_back, module)
        hits, endpoints = filled(module.table("hits")), module.table("endpoints4")
        endpoints[endpoints.Key(1)] = endpoints.Leaf()
        if not batches:
            monkeypatch.setattr(syscall, "map_update_batch", refused)
        for name in ("hits", "endpoints4"):
            module.empty(name)
        assert {sum(hits[ctypes.c_int(key)]) for key in range(len(hits))} == {0}
        assert len(endpoints) == 0


def test_a_misspelt_helper_is_named_with_its_line():
    patch = Patch("misuse.c", "redirect_neigh(call", "redirect_neighbour(call")
    with pytest.raises(BuildError, match=r"misuse\.c:\d+: .*'redirect_neighbour'"):
        Compiled(Source(("compat.h", "misuse.c"), patches=(patch,)))


def test_a_map_that_is_full_is_named(hr_machine):
    with ExitStack() as using:
        module = pool.take(Source(PARTS), LOADED)
        using.callback(pool.give_back, module)
        rows = {number.to_bytes(4, "big"): {"flags": 1} for number in range(4097)}
        with pytest.raises(BuildError, match=r"map endpoints4 does not hold the 4097 entries"):
            module.replace("endpoints4", rows)
        module.replace("endpoints4", {})
        assert len(module.table("endpoints4")) == 0
