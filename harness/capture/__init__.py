# SPDX-License-Identifier: Apache-2.0
"""What was seen on every interface: tcpdump, proven complete, parsed with scapy. Floor 5."""

from harness.capture.frame import Frame
from harness.capture.session import HEADERS, WHOLE, Capture, reap_ending

__all__ = ["HEADERS", "WHOLE", "Capture", "Frame", "reap_ending"]
