# SPDX-License-Identifier: Apache-2.0
"""`python -m harness`: the command line."""

import sys

from harness.cli import main

sys.exit(main())
