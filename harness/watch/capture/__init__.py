# SPDX-License-Identifier: Apache-2.0
"""What was seen on every interface: tcpdump, proven complete."""

from harness.watch.capture.frame import Frame
from harness.watch.capture.session import HEADERS, WHOLE, Capture, reap_ending

__all__ = ["HEADERS", "WHOLE", "Capture", "Frame", "reap_ending"]
