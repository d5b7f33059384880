# SPDX-License-Identifier: Apache-2.0
"""Where a program sits on an interface. Floor 1; one file per kind of hook."""

from harness.hooks.clsact import EGRESS, INGRESS, Attachment, attach, attachments, detach_all

__all__ = ["EGRESS", "INGRESS", "Attachment", "attach", "attachments", "detach_all"]
