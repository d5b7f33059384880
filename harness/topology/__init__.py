# SPDX-License-Identifier: Apache-2.0
"""Describe a topology, and build it out of namespaces and pairs of devices."""

from harness.topology.addressing import Addresses, Family
from harness.topology.blueprints import TESTBEDS, Blueprint
from harness.topology.build import Network
from harness.topology.description import POD_DEVICES, Topology
from harness.topology.hosts import Host, Node, Pod

__all__ = ["POD_DEVICES", "TESTBEDS", "Addresses", "Blueprint", "Family", "Host", "Network",
           "Node", "Pod", "Topology"]  # fmt: skip
