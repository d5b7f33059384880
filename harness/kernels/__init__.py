# SPDX-License-Identifier: Apache-2.0
"""Other kernels: got, kept, booted, and run on."""

from harness.kernels import pytest_args, records
from harness.kernels.catalogue import catalogue
from harness.kernels.fetch import Fetcher
from harness.kernels.fleet import Campaign
from harness.kernels.guest import Job, Machine, harness_root
from harness.kernels.image import Images
from harness.kernels.kernel import Kernel
from harness.kernels.mirror import Mirror
from harness.kernels.preflight import at_once, check_tools, new_directory
from harness.kernels.resolve import find, installed_releases
from harness.kernels.result import Result
from harness.kernels.store import Kept, Store

__all__ = [
    "Campaign", "Fetcher", "Images", "Job", "Kept", "Kernel", "Machine", "Mirror", "Result",
    "Store", "at_once", "catalogue", "check_tools", "find", "harness_root", "installed_releases",
    "new_directory", "pytest_args", "records",
]  # fmt: skip
