# SPDX-License-Identifier: Apache-2.0
"""Other kernels: got, kept, booted, and run on. Floor 7."""

from harness.kernels import outcomes, selection
from harness.kernels.campaign import Campaign
from harness.kernels.catalogue import catalogue
from harness.kernels.fetch import Fetcher
from harness.kernels.find import find, installed_releases
from harness.kernels.guest import Job, Machine, harness_root
from harness.kernels.image import Images
from harness.kernels.kernel import Kernel
from harness.kernels.mirror import Mirror
from harness.kernels.result import Result
from harness.kernels.room import at_once, check_tools, new_directory
from harness.kernels.store import Kept, Store

__all__ = [
    "Campaign", "Fetcher", "Images", "Job", "Kept", "Kernel", "Machine", "Mirror", "Result",
    "Store", "at_once", "catalogue", "check_tools", "find", "harness_root", "installed_releases",
    "new_directory", "outcomes", "selection",
]  # fmt: skip
