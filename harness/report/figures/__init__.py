# SPDX-License-Identifier: Apache-2.0
"""Figures: each draws a part of the report's model as inline SVG."""
