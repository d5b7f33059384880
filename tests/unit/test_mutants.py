# SPDX-License-Identifier: Apache-2.0
"""The patches of mutants find their lines, which takes no root to see."""

import dataclasses
from typing import Any

import pytest

from harness.datapath import DATAPATHS
from testbeds.mutants import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_its_patches_apply_and_change_something(mutant):
    whole: Any = DATAPATHS[mutant.datapath]
    if not mutant.patches:  # it poses as another datapath, nothing else
        assert mutant.posing_as
        return
    changed = dataclasses.replace(whole, patches=mutant.patches)
    assert changed.source.text() != whole.source.text()
