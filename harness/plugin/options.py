# SPDX-License-Identifier: Apache-2.0
"""The values of the command-line options, checked before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness import datapath as datapaths
from harness.datapath import Claims, Datapath, NodeSettings
from harness.datapath.brought import bring_all
from harness.datapath.catalogue import CATALOGUE
from harness.datapath.policy import IN_USE
from harness.datapath.services import IDLE
from harness.plumbing import safe_write
from harness.plumbing.errors import HarnessError, RecordError, UnknownNameError
from harness.topology import Topology

_FILES = "file://"
_ENTRY = re.compile(r"(?:hr-?)?(\d{1,2})", re.I)
BROUGHT = pytest.StashKey[list[Datapath]]()


def option(config: pytest.Config, name: str) -> Any:
    """The value of `--hr-NAME`; the table of options is in `pytest_hostroute`."""
    return config.getoption(f"hr_{name.replace('-', '_')}")


def chosen_datapaths(config: pytest.Config) -> list[str]:
    """The datapaths asked for; all of them if none was named.

    Raises:
        UnknownNameError: One is unknown, or there is none.
    """
    known = datapaths.DATAPATHS.names()
    given = option(config, "datapath")
    named = [name for entry in given for name in entry.split(",") if name]
    if given and not named:
        raise UnknownNameError(f"--hr-datapath {given[0]!r} names none", f"use {', '.join(known)}")
    return [datapaths.find(name).name for name in named] or known


def chosen_entries(config: pytest.Config) -> set[str]:
    """The entries of the catalogue asked for; none: all of them.

    `HR-07`, `hr07` and `7` are the same.

    Raises:
        UnknownNameError: One is not in the catalogue, or no test of this version asserts it.
    """
    given = option(config, "entries")
    named = [word.strip() for words in given for word in words.split(",") if word.strip()]
    known = "use ids of docs/conformance.md, as in --hr HR-07,HR-12"
    if given and not named:
        raise UnknownNameError(f"--hr {given[0]!r} names no entry of the catalogue", known)
    found = set()
    for word in named:
        match = _ENTRY.fullmatch(word)
        identity = f"HR-{int(match[1]):02}" if match else ""
        if identity not in CATALOGUE:
            raise UnknownNameError(f"--hr {word!r} is not in the catalogue", known)
        if CATALOGUE[identity].later:
            raise UnknownNameError(f"--hr {word!r}: {CATALOGUE[identity].later}", "name another")
        found.add(identity)
    return found


def fits(config: pytest.Config, datapath: datapaths.Datapath) -> bool:
    """Whether a datapath can be attached to the pods' devices that were asked for, if any were."""
    device = option(config, "pod-device")
    claims = getattr(datapath, "claims", None)  # somebody's parameter may bear that name
    return not (device and isinstance(claims, Claims)) or device in claims.pod_devices


def _check_devices(config: pytest.Config) -> None:
    """Refuse a datapath that is named together with a device that it cannot be attached to.

    Raises:
        UnknownNameError: One is.
    """
    device = option(config, "pod-device")
    named = device and option(config, "datapath")  # else the kernel would be asked, too early
    for name in chosen_datapaths(config) if named else ():
        datapaths.placed(Topology(pod_device=device), datapaths.find(name))


def bring_in(config: pytest.Config) -> None:
    """Register the datapaths that `--hr-bring` describes.

    Raises:
        HarnessError: A description is wrong, or its name is taken.
    """
    directory = config.invocation_params.dir
    config.stash[BROUGHT] = bring_all(directory / path for path in option(config, "bring"))


def settings(config: pytest.Config) -> NodeSettings:
    """What every node is asked for."""
    return NodeSettings(
        legacy_services=option(config, "legacy-services"),
        policy=IN_USE if option(config, "policy") else None,
        services="bpf" if option(config, "services") else "none",
        used_services=IDLE if option(config, "services") else (),
    )


def results_directory(config: pytest.Config) -> Path:
    """Where records go."""
    return config.rootpath / (option(config, "results") or "results")


def check_results(config: pytest.Config) -> None:
    """Refuse a directory that cannot be written, before minutes are spent on what goes there.

    Raises:
        RecordError: It cannot.
    """
    _check_writable(results_directory(config))


def asks_for_benchmarks(config: pytest.Config) -> bool:
    """Whether `-m` names them: then it is known before collection that the run measures."""
    return re.search(r"(?<!not )\bbench\b", config.option.markexpr or "") is not None


def _check_storage(config: pytest.Config) -> None:
    """The same of the directory where pytest-benchmark saves, which follows whatever link it finds.

    Raises:
        RecordError: It cannot be written.
    """
    saves = config.getoption("benchmark_save", None) or config.getoption("benchmark_autosave", None)
    storage = str(config.getoption("benchmark_storage", ""))
    if saves and storage.startswith(_FILES):
        _check_writable(Path(storage.removeprefix(_FILES)))


def _check_writable(path: Path) -> None:
    try:
        safe_write.check_writable(path)
    except OSError as error:
        raise RecordError(
            f"records cannot be written to {path} ({error.strerror})",
            "name a directory that can be written: --hr-results=DIR",
        ) from None


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that name what does not exist; one line, a documented exit code."""
    try:
        bring_in(config)
        chosen_datapaths(config)
        chosen_entries(config)
        _check_devices(config)
        settings(config)
        named = option(config, "record") or option(config, "results") is not None
        if named or asks_for_benchmarks(config):
            check_results(config)
        _check_storage(config)
        if option(config, "pause") and config.getoption("capture") != "no":
            raise pytest.UsageError("--hr-pause needs the terminal: add -s")
        if getattr(config.option, "dist", "no") != "no":
            raise pytest.UsageError(
                "tests cannot be shared out by pytest-xdist: what is measured would disturb itself,"
                " and a run has one kernel log and one record; leave out -n and --dist"
            )
    except HarnessError as error:
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
