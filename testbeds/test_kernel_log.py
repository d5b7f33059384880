# SPDX-License-Identifier: Apache-2.0
"""The kernel's log over the whole run; the plugin puts this test last."""


def test_hr44_no_kernel_splat_during_the_run(hr_run_log):
    assert hr_run_log.splats() == [], "splats"
