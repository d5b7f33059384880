# SPDX-License-Identifier: Apache-2.0
"""Describe a topology, and build it out of namespaces and veth pairs."""

from harness.topology.addressing import Addresses, Family
from harness.topology.build import Network
from harness.topology.description import Topology
from harness.topology.hosts import Host, Node, Pod

__all__ = ["Addresses", "Family", "Host", "Network", "Node", "Pod", "Topology"]
