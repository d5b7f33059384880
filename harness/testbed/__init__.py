# SPDX-License-Identifier: Apache-2.0
"""A testbed in use: topology, datapaths, traffic and captures under one roof."""

from harness.testbed.actor import Actor, NodeActor, PodActor
from harness.testbed.seen import Seen
from harness.testbed.testbed import Testbed

__all__ = ["Actor", "NodeActor", "PodActor", "Seen", "Testbed"]
