# SPDX-License-Identifier: Apache-2.0
"""Traffic between hosts of a testbed: pings, datagrams, streams, crafted frames."""

from harness.traffic.exchange import Exchange, IcmpError, datagrams, ping
from harness.traffic.flow import Flow
from harness.traffic.inject import inject
from harness.traffic.stream import Transfer, stream

__all__ = ["Exchange", "Flow", "IcmpError", "Transfer", "datagrams", "inject", "ping", "stream"]
