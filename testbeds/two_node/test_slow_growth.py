# SPDX-License-Identifier: Apache-2.0
"""The whole curves: up to 1000 pods on the node, and up to 10,000 services in the legacy rules."""

import pytest

from testbeds.measuring import GROWING

pytestmark = pytest.mark.slow
HERE = "two_node"


@pytest.mark.grows(HERE, "pods", *GROWING, every=True)
def test_slow_growth_with_pods(hr_growth):
    assert hr_growth.partial is None, hr_growth.partial
    assert hr_growth.counts == [1, 10, 100, 1000]
    assert hr_growth.fits.keys() == hr_growth.points.keys()


@pytest.mark.grows(HERE, "services", *GROWING, every=True)
def test_slow_growth_with_services(hr_growth):
    assert hr_growth.partial is None, hr_growth.partial
    assert hr_growth.counts == [0, 100, 1000, 10_000]
    assert hr_growth.fits.keys() == hr_growth.points.keys()
