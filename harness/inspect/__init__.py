# SPDX-License-Identifier: Apache-2.0
"""A live node: what is attached, what it calls, what it does with its pods' packets.

`found` says what is there and reads only; `window` counts for some seconds; `verdict` judges what
was counted and nothing else.
"""
