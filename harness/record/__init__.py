# SPDX-License-Identifier: Apache-2.0
"""Records: what a run leaves, its schema, writer and reader, and where it comes from. Floor 6."""
