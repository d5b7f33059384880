# SPDX-License-Identifier: Apache-2.0
"""Maglev's table: full, even, the same in any order, and hardly moved by a backend that goes."""

from collections import Counter

from harness.datapath.maglev import SLOTS, table
from harness.datapath.services import Backend

FOUR = [Backend(f"10.0.1.{number}", 8080) for number in range(10, 14)]


def test_its_shares_are_even():
    shares = Counter(table(FOUR))
    assert set(shares) == set(FOUR)
    assert sum(shares.values()) == SLOTS
    assert max(shares.values()) - min(shares.values()) <= 1


def test_order_does_not_matter():
    assert table(FOUR[::-1]) == table(FOUR)


def test_a_backend_that_goes_moves_few_slots_of_the_others():
    before, after = table(FOUR), table(FOUR[1:])
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    assert sum(old == FOUR[0] for old in before) <= moved <= 0.3 * SLOTS


def test_nobody_has_no_slots():
    assert table([]) == []
    assert set(table(FOUR[:1])) == {FOUR[0]}
