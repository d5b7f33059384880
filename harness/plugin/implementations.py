# SPDX-License-Identifier: Apache-2.0
"""What a run judged: its datapaths, with the programs that were seen of each."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness import datapath as datapaths
from harness.attach import all_attachments
from harness.datapath.claims import CLAIMS, declined, text
from harness.plumbing.errors import HarnessError
from harness.results import Implementation
from harness.testbed import Testbed

_PROGRAMS = pytest.StashKey[dict[str, dict[str, str]]]()
_LOOKED_AT = pytest.StashKey[set[tuple[str, str]]]()


def note_programs(config: pytest.Config, testbed: Testbed) -> None:
    """Look at the programs of a datapath, the first time that a testbed has it in a run."""
    known = config.stash.setdefault(_PROGRAMS, {})
    seen = config.stash.setdefault(_LOOKED_AT, set())
    if not testbed.datapaths:
        return
    entry = testbed.datapaths[0]  # all nodes run the same
    if not entry.degraded and (entry.asked, testbed.name) not in seen:
        seen.add((entry.asked, testbed.name))
        rows = all_attachments(entry.node.ns)
        names = {row.program or f"program {row.id}": row.tag for row in rows}
        known.setdefault(entry.asked, {}).update(names)


def implementations(config: pytest.Config, names: Iterable[str]) -> list[Implementation]:
    """The datapaths of those names, as they describe themselves and as they were seen.

    Args:
        config: Of the run.
        names: Of datapaths; what is not registered is left out.

    A datapath may have `version`, `url`, and `files`: name of a file that it was loaded from → its
    SHA-256, as those of `--bring` do.
    """
    programs = config.stash.get(_PROGRAMS, {})
    found = []
    for name in dict.fromkeys(names):
        try:
            datapath = datapaths.find(name)
        except HarnessError:
            continue
        claims = datapath.claims
        found.append(
            Implementation(
                name=name, summary=datapath.summary,
                claims={claim: text(getattr(claims, claim)) for claim in CLAIMS},
                unclaimed=list(declined(claims)),
                version=str(getattr(datapath, "version", "")),
                url=str(getattr(datapath, "url", "")),
                objects=dict(getattr(datapath, "files", {})),
                programs=programs.get(name, {}),
            )
        )  # fmt: skip
    return found
