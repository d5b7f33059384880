# SPDX-License-Identifier: Apache-2.0
"""Runs pytest with one module of the checkout replaced by a changed text: nothing is written there.

A script that imports nothing of the project, so that whatever is changed is not imported yet. It is
run in the checkout: `python -P run_mutated.py PLAN PYTEST-ARGUMENTS…`. The plan is JSON: `file`,
the changed module's path; `text`, what it says instead; `controls_of`, tests whose controls count.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

import pytest


class Changed(importlib.machinery.SourceFileLoader):
    """Loads a module from another text than its file's."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        """Neither taken from the cache nor written to it."""
        code: CodeType = compile(self._text, self.get_filename(fullname), "exec", dont_inherit=True)
        return code


class Finder(importlib.abc.MetaPathFinder):
    """Finds the changed module; all others are left to the finders behind it."""

    def __init__(self, path: Path, root: Path, text: bytes) -> None:
        parts = path.relative_to(root).with_suffix("").parts
        self._name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self._path, self._text = path, text

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's, if it is the changed one."""
        del path, target
        if name != self._name:
            return None
        package = [str(self._path.parent)] if self._path.stem == "__init__" else None
        return importlib.util.spec_from_file_location(
            name, self._path, loader=Changed(name, str(self._path), self._text),
            submodule_search_locations=package,
        )  # fmt: skip


class Selection:
    """Has the changed module found first, and only some tests' controls run, one of each first."""

    def __init__(self, finder: Finder, controls_of: Sequence[str]) -> None:
        self._finder, self._controls_of = finder, set(controls_of)

    def pytest_configure(self) -> None:
        """Pytest's own finder, which rewrites assertions, would read the file."""
        sys.meta_path.remove(self._finder)
        sys.meta_path.insert(0, self._finder)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop other tests' controls; let one of each function lead."""
        kept = [item for item in items
                if item.get_closest_marker("control") is None
                or self._controls_of.intersection(_tests_of(item))]  # fmt: skip
        leading = {(item.fspath, _function(item)): item for item in reversed(kept)}
        first = set(leading.values())
        controls = [item.get_closest_marker("control") is not None for item in kept]
        ranked = sorted(
            zip(kept, controls, strict=True), key=lambda pair: (pair[1], pair[0] not in first)
        )
        items[:] = [item for item, _ in ranked]


def _function(item: pytest.Item) -> str:
    return item.name.partition("[")[0]


def _tests_of(control: pytest.Item) -> set[str]:
    """The tests that a control is about: its parameter's, or those that it names."""
    from testbeds.mutants import instrument

    parameters = control.callspec.params if hasattr(control, "callspec") else {}
    function = getattr(control, "function", None)
    names = function.__code__.co_names if function is not None else ()
    named = [parameters.get("catch"), *(getattr(instrument, name, None) for name in names)]
    return {getattr(catch, "test", "") for catch in named}


def _main(plan: str, *arguments: str) -> int:
    root = Path.cwd()
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    wanted = json.loads(Path(plan).read_text(encoding="utf-8"))
    finder = Finder(root / wanted["file"], root, wanted["text"].encode())
    sys.meta_path.insert(0, finder)
    return int(pytest.main(list(arguments), plugins=[Selection(finder, wanted["controls_of"])]))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
