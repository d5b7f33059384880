# SPDX-License-Identifier: Apache-2.0
"""The example of an agent, its object compiled as its README says, and with faults."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.support.elf_example import compiled, patched
from tests.support.run_cli import ROOT

EXAMPLE = ROOT / "examples" / "agent"
NAME = "example-agent"


def example(
    directory: Path, name: str = NAME, *, program: Mapping[str, str] | None = None,
    agent: Mapping[str, str] | None = None, toml: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """The example in a directory of its own; returns its description.

    Args:
        directory: Where a directory of its name is made.
        name: What the datapath is called.
        program: Changes of the C source.
        agent: Changes of the agent.
        toml: Changes of the description.
    """
    home = directory / name
    home.mkdir(mode=0o755)
    source = patched((EXAMPLE / "datapath.bpf.c").read_text(encoding="utf-8"), program or {})
    (home / "datapath.bpf.o").write_bytes(compiled(source))
    shutil.copy(EXAMPLE / "agent.py", home)  # with its permissions
    text = patched((EXAMPLE / "agent.py").read_text(encoding="utf-8"), agent or {})
    (home / "agent.py").write_text(text, encoding="utf-8")
    (home / "agent.py").chmod(0o755)
    text = (EXAMPLE / "agent.toml").read_text(encoding="utf-8")
    text = patched(text, {f'name = "{NAME}"': f'name = "{name}"', **(toml or {})})
    (home / "agent.toml").write_text(text, encoding="utf-8")
    return home / "agent.toml"
