# SPDX-License-Identifier: Apache-2.0
"""Programs at places of devices. One file a hook, registered in `listing.HOOKS`.

Each hook has `attach`, which gives an `Attachment` to detach, and `listed`, which says what is
there in the kernel's order.
"""

from harness.attach.attachment import EGRESS, INGRESS, Attachment, Listed
from harness.attach.clsact import detach_all
from harness.attach.listing import HOOKS, all_attachments, attach_first
from harness.attach.places import Place, Placed

__all__ = ["EGRESS", "HOOKS", "INGRESS", "Attachment", "Listed", "Place", "Placed",
           "all_attachments", "attach_first", "detach_all"]  # fmt: skip
