# SPDX-License-Identifier: Apache-2.0
"""What a job may raise; the message goes back to whoever ordered it."""


class JobError(Exception):
    """The job failed."""


class MissingError(Exception):
    """Something is not installed; the message is its name."""
