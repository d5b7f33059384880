# SPDX-License-Identifier: Apache-2.0
"""What was seen where: captures, the legs they show, and the counters of the node's stack."""
