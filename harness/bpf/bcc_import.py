# SPDX-License-Identifier: Apache-2.0
"""Find the distribution's BCC from inside a virtual environment.

PyPI's `bcc` is an unrelated crystal-lattice package, so BCC cannot be a dependency: it is
Debian's and Ubuntu's `python3-bpfcc`, pure Python over libbcc.so.0, and is imported by path.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from harness.plumbing.errors import MissingToolError

DIST_PACKAGES = Path("/usr/lib/python3/dist-packages")
_TODO = "run `apt-get install python3-bpfcc`"
_IMPOSTOR = "PyPI's bcc is about crystal lattices: `pip uninstall bcc`"


def load_from(package: Path) -> ModuleType:
    """Import a BCC found at `package`, a directory that holds `__init__.py`.

    Raises:
        MissingToolError: Nothing is there, it is not BCC, or libbcc.so.0 is missing.
    """
    init = package / "__init__.py"
    if not init.is_file():
        found = importlib.util.find_spec("bcc")
        todo = f"{_TODO}; {_IMPOSTOR}" if found else _TODO
        raise MissingToolError(f"BCC's Python module is not installed (no {init})", todo)
    spec = importlib.util.spec_from_file_location(
        "bcc", init, submodule_search_locations=[str(package)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get("bcc")
    sys.modules["bcc"] = module
    try:
        # Python warns of invalid escapes when it compiles BCC's source, which it does where no
        # byte code is kept. A project whose pytest makes errors of warnings could not import it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
    except OSError as error:
        raise MissingToolError(f"BCC's library cannot be loaded ({error})", _TODO) from None
    except (ImportError, SyntaxError, AttributeError) as error:
        raise MissingToolError(
            f"{package} cannot be imported ({error})", f"{_TODO}; {_IMPOSTOR}"
        ) from None
    finally:
        if not hasattr(module, "BPF"):
            sys.modules.pop("bcc")
            if before is not None:
                sys.modules["bcc"] = before
    if not hasattr(module, "BPF"):
        raise MissingToolError(
            f"{package} is not BCC but another package of that name",
            f"{_TODO}; {_IMPOSTOR}",
        )
    return module


@lru_cache(maxsize=1)
def bcc() -> ModuleType:
    """The BCC module.

    Raises:
        MissingToolError: See `load_from`.
    """
    loaded = sys.modules.get("bcc")
    if loaded is not None and hasattr(loaded, "BPF"):
        return loaded
    return load_from(DIST_PACKAGES / "bcc")
