# SPDX-License-Identifier: Apache-2.0
"""`--hr-bring`: datapaths of others are tried once, before the tests are collected."""

from __future__ import annotations

import pytest

from harness.datapath import decision_on
from harness.plugin.options import BROUGHT, chosen_datapaths, settings
from harness.plumbing.errors import AgentError, BuildError, HarnessError
from harness.plumbing.printable import lines
from harness.plumbing.signals import deferred
from harness.testbed import Testbed
from harness.topology import Topology

_TRIAL = Topology(nodes=2)


def try_out(config: pytest.Config) -> None:
    """Install each that is going to run on a testbed: what fails there would fail in every test.

    Raises:
        HarnessError: It cannot be installed.
    """
    chosen = chosen_datapaths(config)
    for datapath in config.stash.get(BROUGHT, []):
        decision = decision_on(datapath, settings(config))
        if datapath.name in chosen and (decision is None or decision.bpf):
            with deferred(), Testbed(_TRIAL, datapath, settings=settings(config)):
                pass


def shown_log(config: pytest.Config, error: HarnessError) -> str:
    """The verifier's log or an agent's, where -v asks for it, to go before the one line."""
    told = error.log if isinstance(error, BuildError | AgentError) else ""
    log = "\n".join(lines(told)) if config.option.verbose > 0 else ""
    return f"{log.rstrip()}\n" if log else ""
