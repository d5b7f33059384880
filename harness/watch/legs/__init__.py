# SPDX-License-Identifier: Apache-2.0
"""Legs: sightings of a flow's packets at interfaces, as tables that compare with ==."""

from harness.watch.legs.classify import classify, look
from harness.watch.legs.difference import Difference
from harness.watch.legs.table import LegTable, legs_of

__all__ = ["Difference", "LegTable", "classify", "legs_of", "look"]
