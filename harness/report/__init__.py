# SPDX-License-Identifier: Apache-2.0
"""Reports: what records say, as a page, as Markdown or as CSV. Pure functions. Floor 7."""
