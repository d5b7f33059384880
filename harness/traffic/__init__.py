# SPDX-License-Identifier: Apache-2.0
"""Traffic between hosts of a testbed: pings, datagrams, streams, crafted frames."""

from harness.traffic.datagrams import datagrams
from harness.traffic.exchange import Exchange, IcmpError
from harness.traffic.flow import Flow
from harness.traffic.inject import inject
from harness.traffic.ping import ping
from harness.traffic.stream import Transfer, stream

__all__ = ["Exchange", "Flow", "IcmpError", "Transfer", "datagrams", "inject", "ping", "stream"]
