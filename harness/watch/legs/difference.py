# SPDX-License-Identifier: Apache-2.0
"""How the legs seen differ from those expected, and whose they are if not the datapath's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.watch.legs.table import Leg, LegTable


@dataclass(frozen=True)
class Difference:
    """Two tables of legs that are not equal.

    Attributes:
        expected: What the assertion names.
        seen: What the capture saw.
    """

    expected: LegTable
    seen: LegTable

    @property
    def missing(self) -> list[str]:
        """Legs that were expected and not seen so, as in `master:lxc1 < request`."""
        return [f"{leg[0]} {_cell(self.expected, leg)}" for leg in _only(self.expected, self.seen)]

    @property
    def extra(self) -> list[str]:
        """Legs that were seen and not expected so."""
        return [f"{leg[0]} {_cell(self.seen, leg)}" for leg in _only(self.seen, self.expected)]

    @property
    def headline(self) -> str:
        """The difference in one line."""
        counts = {"missing": len(self.missing), "extra": len(self.extra)}
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        return f"the legs seen are not the legs expected: {said}"

    def lines(self) -> list[str]:
        """Both tables side by side, a line an interface, with what is missing and extra."""
        expected, seen = self.expected, self.seen
        names = list(dict.fromkeys([*expected.interfaces(), *seen.interfaces()]))
        width = max([12, *(len(expected.row(name)) for name in names)]) + 3
        seen_width = max([12, *(len(seen.row(name)) for name in names)]) + 3
        lines = [f"{'':<16}{'expected':<{width}}{'seen':<{seen_width}}".rstrip()]
        for name in names:
            line = f"{name:<16}{expected.row(name):<{width}}{seen.row(name):<{seen_width}}"
            lines.append((line + self._marks(name)).rstrip())
        return lines

    def _marks(self, interface: str) -> str:
        sides = (("missing", self.expected, self.seen), ("extra", self.seen, self.expected))
        return "  ".join(
            f"{label}: {_cell(table, leg)}"
            for label, table, other in sides
            for leg in _only(table, other)
            if leg[0] == interface
        )

    def delivery(self, names: Mapping[str, object]) -> str:
        """Whose legs were seen, if another delivery's: a sentence, or nothing.

        Args:
            names: Where the assertion looks its tables up, such as a module's globals: name → a
                dict that has a table of legs for each delivery, or a dict of such dicts.
        """
        for name, table in _tables(names):
            asked = [key for key, legs in table.items() if legs == self.expected]
            found = [key for key, legs in table.items() if legs == self.seen]
            if asked and found:
                return (
                    f"The legs seen are those of delivery {' or '.join(found)} in {name}, not of"
                    f" {' or '.join(asked)}."
                )
        return ""


def _only(table: LegTable, other: LegTable) -> list[Leg]:
    """The legs of a table that the other lacks or remarks something else about."""
    names = table.interfaces()
    differ = [leg for leg, remark in table.legs.items() if other.legs.get(leg) != remark]
    return sorted(differ, key=lambda leg: names.index(leg[0]))


def _cell(table: LegTable, leg: Leg) -> str:
    remark = table.legs[leg]
    return f"{leg[1]} {leg[2]}" + (f" ({remark})" if remark else "")


def _tables(names: Mapping[str, object]) -> Iterator[tuple[str, dict[str, LegTable]]]:
    """Every dict of tables of legs; one inside another bears the outer one's name and its key."""
    for name, value in names.items():
        if not isinstance(value, dict) or not value or name.startswith("__"):
            continue
        if all(isinstance(entry, dict) for entry in value.values()):
            yield from _tables({f"{name}[{key!r}]": entry for key, entry in value.items()})
        elif all(isinstance(part, str) for entry in value.items() for part in entry):
            try:
                yield name, {key: LegTable.parse(text) for key, text in value.items()}
            except ValueError:  # a dict of other texts
                continue
