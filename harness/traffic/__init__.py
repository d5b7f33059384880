# SPDX-License-Identifier: Apache-2.0
"""Traffic between hosts of a testbed: pings, datagrams, streams, crafted frames."""

from harness.traffic.datagrams import datagrams
from harness.traffic.exchange import Exchange, IcmpError
from harness.traffic.flow import Flow
from harness.traffic.form import ANY_PORT, Form, Front, Tunnelled
from harness.traffic.inject import await_closed, inject
from harness.traffic.knock import Knock, knock
from harness.traffic.ping import ping
from harness.traffic.stream import Transfer, stream

__all__ = ["ANY_PORT", "Exchange", "Flow", "Form", "Front", "IcmpError", "Knock", "Transfer",
           "Tunnelled", "await_closed", "datagrams", "inject", "knock", "ping",
           "stream"]  # fmt: skip
