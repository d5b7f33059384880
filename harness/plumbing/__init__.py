# SPDX-License-Identifier: Apache-2.0
"""What everything else stands on: errors, processes, signals, scratch, namespaces, netlink."""
