# SPDX-License-Identifier: Apache-2.0
"""How the paths grow with the pods on the node, and with the services in the legacy rules.

The client is the first pod of `master`, which has so many, the server the one pod of `node1`: a
request crosses the lookup among the pods at its source, a reply at its destination.
"""

import pytest

from testbeds.measuring import GROWING

pytestmark = pytest.mark.bench
HERE = "two_node"


@pytest.mark.grows(HERE, "pods", *GROWING)
def test_bench_growth_with_pods(hr_growth):
    """1, 10 and 100 pods; 1000 take minutes to build: test_slow_growth.py."""
    assert hr_growth.partial is None, hr_growth.partial
    assert hr_growth.fits.keys() == hr_growth.points.keys()


@pytest.mark.grows(HERE, "services", *GROWING)
def test_bench_growth_with_services(hr_growth):
    """0, 100 and 1000 services; 10,000 take minutes to load: test_slow_growth.py."""
    assert hr_growth.partial is None, hr_growth.partial
    assert hr_growth.fits.keys() == hr_growth.points.keys()
