# SPDX-License-Identifier: Apache-2.0
"""Where a program sits on an interface. One file per kind of hook."""

from harness.attach.clsact import EGRESS, INGRESS, Attachment, attach, attachments, detach_all
from harness.attach.listing import all_attachments

__all__ = ["EGRESS", "INGRESS", "Attachment", "all_attachments", "attach", "attachments",
           "detach_all"]  # fmt: skip
