# SPDX-License-Identifier: Apache-2.0
"""`python -m testbeds.mutants > docs/controls.md`: every mutant and what catches it."""

from __future__ import annotations

from testbeds.mutants import MUTANTS

_HEAD = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Made by: python -m testbeds.mutants > docs/controls.md -->
# Negative controls: mutants, and what catches each

A mutant is a patch of the sources in `bpf/` (`testbeds/mutants/`). `pytest -m control` builds and
loads each, runs the tests named beside it, and passes only if each fails, on the line shown.
"""


def page() -> str:
    """The page, in Markdown."""
    rows = [
        _HEAD,
        "| mutant | of | caught by | on the line with | IPv |",
        "|---|---|---|---|---|",
    ]
    for mutant in MUTANTS:
        for index, catch in enumerate(mutant.catches):
            name = mutant.name if index == 0 else ""
            of = mutant.datapath if index == 0 else ""
            values = ", ".join(str(value) for value in catch.arguments.values())
            test = f"`{catch.test.split('::')[1]}`" + (f" ({values})" if values else "")
            families = ", ".join(str(family) for family in catch.families)
            rows.append(f"| {name} | {of} | {test} | `{catch.line}` | {families} |")
    tests = {catch.test for mutant in MUTANTS for catch in mutant.catches}
    rows.append(f"\n{len(MUTANTS)} mutants; {len(tests)} tests seen to fail.")
    return "\n".join(rows)


if __name__ == "__main__":
    print(page())  # noqa: T201 - this is its output
