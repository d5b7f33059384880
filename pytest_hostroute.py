# SPDX-License-Identifier: Apache-2.0
"""What pytest sees of hostroute: its options, hooks and fixtures. Loaded by an entry point.

It is loaded into every run of a Python where hostroute is installed, so importing it must cost
nothing: the harness is imported when a run turns out to be ours. It is when an option of ours is
given or a path below a registered suite is named; then the machine is checked before collection.
It is, too, as soon as a test that uses one of our fixtures is collected. Other tests are left
alone, whatever their names and markers.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.plugin.building import BuildTestbed
    from harness.plugin.inconclusive import Conclude
    from harness.plugin.record import Observe
    from harness.results import Comparison, Growth
    from harness.testbed import Testbed
    from harness.watch.evidence import KernelLog

_HERE = Path(__file__).resolve().parent
#: Name → what pytest's parser is told. Each is `--hr-NAME`; `add_aliases` adds the bare name.
OPTIONS: dict[str, dict[str, Any]] = {
    "entries": {
        "action": "append", "default": [], "metavar": "HR-07[,HR-12]",
        "help": "run only the tests of these entries of the catalogue (docs/conformance.md)",
    },
    "datapath": {
        "action": "append", "default": [], "metavar": "NAME[,NAME]",
        "help": "run only on these datapaths (`hostroute datapaths` lists them)",
    },
    "pod-device": {
        "choices": ("veth", "netkit", "netkit-l3"), "default": "",
        "help": "what joins pods to their nodes, whatever the datapath asks for; one that cannot be"
        " attached to it is left out",
    },
    "bring": {
        "action": "append", "default": [], "metavar": "FILE.toml",
        "help": "a datapath of somebody else, described by this file: its name is one for"
        " --hr-datapath and --hr-arms (docs/your-datapath.md)",
    },
    "legacy-services": {
        "type": int, "default": 100, "metavar": "N",
        "help": "services' worth of kube-proxy rules on the legacy path (default 100)",
    },
    "policy": {
        "action": "store_true",
        "help": "have every node hold its pods to rules that allow everything: the same suite with"
        " policy built in and in use",
    },
    "services": {
        "action": "store_true",
        "help": "ask every node for services in BPF: the same suite with them built in and in use",
    },
    "keep-pcaps": {
        "action": "store_true",
        "help": "keep every test's captures, not only a failed test's, in pcaps/ where records go",
    },
    "pause": {
        "action": "store_true",
        "help": "when a test fails, keep its testbed until Enter is pressed; says how to enter it",
    },
    "record": {
        "action": "store_true",
        "help": "write a record of every assertion's outcome; benchmarks write one anyway",
    },
    "results": {
        "metavar": "DIR",
        "help": "where records and pcaps go, below the root directory (default results); write it"
        " with `=`, otherwise pytest takes DIR for a test path",
    },
    "try-unclaimed": {
        "action": "store_true",
        "help": "run tests that are not claimed too: they fail nothing, and the run says at its end"
        " what else their datapaths could claim",
    },
    "brief": {
        "action": "store_true",
        "help": "each assertion once on each datapath, with its families and sizes in turn; each"
        " negative control's mutant once for each assertion",
    },
    "arms": {
        "default": "legacy,bpf", "metavar": "NAME,NAME[,…]",
        "help": "datapaths to compare; the first is the baseline of the others (default"
        " legacy,bpf)",
    },
    "bench-seed": {
        "type": int, "metavar": "N",
        "help": "decides the order of builds and rounds (default: drawn, and recorded)",
    },
    "bench-budget": {
        "type": float, "metavar": "SECONDS",
        "help": "time for all benchmarks of the run (default: 90 for each arm)",
    },
    "require": {
        "choices": ("faster", "not-slower"), "metavar": "faster|not-slower",
        "help": "fail where an arm's verdict against the baseline is anything else",
    },
}  # fmt: skip
_MARKERS = (
    "conformance: asserts an entry of the catalogue on real namespaces, programs and captures",
    "control: a negative control: a mutated datapath must fail the assertion meant for it",
    "bench: measures",
    "slow: takes minutes",
    "brief(group): with --hr-brief, one test of the group is run",
    "hr(id): the entry of the catalogue that the test asserts, such as HR-07",
    "topology(...): parameters of the testbed that the test asks for",
    "datapaths(*names): the datapaths the test applies to; all of them without it",
    "claims(*names, family=None, **values): the claims that the test rests on. A datapath that"
    " declines one by name is not tried: the test is `not claimed`. One that has another value is"
    " deselected. `family`: the test's, where that is no parameter of it",
    "needs_macs: applies only where the pods' devices have MACs: not to L3 netkit pairs",
    "compares(testbed, *measures): asks for the comparison of each measure; of all without any",
    "grows(testbed, over, *measures, every=False): asks for each measure's growth over pods or"
    " services; `every`: also at the points that take long to build",
    "needs_both_paths: applies only where what bypasses the stack is compared with what does not"
    " (--hr-arms), one of them as the baseline",
)
_ACTIVE = pytest.StashKey[bool]()
_CLEAN = pytest.StashKey[bool]()
_OURS = pytest.StashKey[set[str]]()
_REFUSED = pytest.StashKey[BaseException]()
_STORAGE = Path(".benchmarks")


def add_aliases(parser: pytest.Parser) -> None:
    """Give every option its bare name too: for the conftest.py of a project that is all ours."""
    group = parser.getgroup("host routing, short names")
    for name, told in OPTIONS.items():
        alias = told | {"help": f"as --hr-{name}"}
        group.addoption(f"--{name}", dest=_dest(name), **alias)


def _dest(name: str) -> str:
    return f"hr_{name.replace('-', '_')}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("host routing")
    for name, told in OPTIONS.items():
        spellings = ["--hr-entries", "--hr"] if name == "entries" else [f"--hr-{name}"]
        group.addoption(*spellings, dest=_dest(name), **told)


class _Hooks:
    """Hooks for other packages' conftest.py and plugins."""

    @pytest.hookspec
    def pytest_hostroute_register(self, suites: list[Path]) -> None:
        """Register testbeds, datapaths and measures that no entry point brings.

        Args:
            suites: Directories of test suites; append to it. A run that names a path below one is
                checked before its tests are collected.
        """


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks."""
    pluginmanager.add_hookspecs(_Hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, make a fixture of each testbed, and begin if the run is ours."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    config.stash[_CLEAN] = not _STORAGE.exists()
    config.stash[_ACTIVE] = False
    config.stash[_OURS] = set()
    suites = [path for name in _entry_points("suites") for path in _package(name)]
    _register(config, suites)
    registered = bool(config.hook.pytest_hostroute_register.get_hookimpls())
    config.pluginmanager.register(_testbed_fixtures(registered), "pytest_hostroute testbeds")
    if _is_ours(config, suites):
        if not config.option.markexpr and _all_below(config, suites):
            config.option.markexpr = "not bench and not slow"
        activate(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the directory that pytest-benchmark makes for its storage, if nothing was stored."""
    if config.stash.get(_CLEAN, False):
        with suppress(OSError):  # not there, or not empty
            _STORAGE.rmdir()


def _register(config: pytest.Config, suites: list[Path]) -> None:
    """Ask for what no entry point brings; what may not be registered ends the run with one line."""
    try:
        config.hook.pytest_hostroute_register(suites=suites)
    except Exception as error:
        errors = sys.modules.get("harness.plumbing.errors")  # whoever registers has imported it
        if errors is None or not isinstance(error, errors.HarnessError):
            raise
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)


def _entry_points(kind: str) -> list[str]:
    """The names of a group's entry points; the objects are not loaded."""
    return [point.name for point in metadata.entry_points(group=f"hostroute.{kind}")]


def _package(name: str) -> list[Path]:
    """Where a top-level package is, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return []
    return [Path(place).resolve() for place in (spec and spec.submodule_search_locations) or ()]


def _is_ours(config: pytest.Config, suites: list[Path]) -> bool:
    given = any(config.getoption(_dest(name)) != told.get("default", told.get("action") and False)
                for name, told in OPTIONS.items())  # fmt: skip
    return given or any(_below(config, text, suites) for text in config.args)


def _all_below(config: pytest.Config, suites: list[Path]) -> bool:
    return all(_below(config, text, suites) for text in config.args)


def _below(config: pytest.Config, text: str, suites: list[Path]) -> bool:
    """Whether an argument names something below a suite: a path, or a package with --pyargs."""
    name = text.partition("::")[0]
    if config.option.pyargs and name.partition(".")[0] in {suite.name for suite in suites}:
        return True
    path = (config.invocation_params.dir / name).resolve()
    return any(path == suite or suite in path.parents for suite in suites)


def activate(config: pytest.Config) -> None:
    """Import the harness, check the options and take part in the run; once.

    Raises:
        pytest.UsageError: Another package is called `harness` here.
    """
    if config.stash[_ACTIVE]:
        return
    found = _package("harness")
    if found != [_HERE / "harness"]:
        where = found[0] if found else "nowhere"
        raise pytest.UsageError(
            f"hostroute: `harness` is {where}, not {_HERE / 'harness'}: rename that package, or run"
            " pytest where it cannot be imported"
        )
    config.stash[_ACTIVE] = True
    from harness import plugin

    plugin.register(config)


def is_ours(item: pytest.Item) -> bool:
    """Whether a test uses one of our fixtures: only such are given ids, parameters and reports."""
    return item.nodeid.partition("[")[0] in item.config.stash[_OURS]


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Once for each datapath and family, where a test names them and uses one of our fixtures."""
    definitions = metafunc._arg2fixturedefs
    used = (definitions[name][-1] for name in metafunc.fixturenames if definitions.get(name))
    if not any(definition.func.__module__ == __name__ for definition in used):
        return
    stash = metafunc.config.stash
    try:
        activate(metafunc.config)
    except pytest.exit.Exception as refused:
        stash[_REFUSED] = refused  # here it would pass for an error of the module
    if _REFUSED in stash:
        return
    stash[_OURS].add(metafunc.definition.nodeid)
    from harness.plugin import bench, claims, parameters
    from harness.plumbing.errors import HarnessError

    try:
        claims.generate(metafunc)
        bench.generate(metafunc)  # a test's id names the measure first
        parameters.generate(metafunc)
    except HarnessError as error:
        raise pytest.Collector.CollectError(str(error)) from None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config) -> None:
    """End a run that turned out, while its tests were collected, to be ours and impossible."""
    if _REFUSED in config.stash:
        raise config.stash[_REFUSED]


# ------------------------------------------------------------------------------------- fixtures


def _testbed_fixtures(registered: bool) -> ModuleType:
    """A fixture for each testbed. Where nobody registered any by a call, metadata has the names."""
    names = _entry_points("testbeds")
    if registered:
        from harness.topology import TESTBEDS

        names = list(TESTBEDS)
    holder = ModuleType("pytest_hostroute testbeds")  # pytest looks at a module's own attributes
    for name in names:
        setattr(holder, name, _testbed_fixture(name))
    return holder


def _testbed_fixture(name: str) -> Callable[..., Testbed]:
    def fixture(request: pytest.FixtureRequest, build_testbed: BuildTestbed) -> Testbed:
        from harness.plugin.building import testbed_of

        return testbed_of(request, build_testbed, name)

    fixture.__doc__ = f"The testbed {name}, with the test's datapath on every node."
    return pytest.fixture(name=name)(fixture)


@pytest.fixture(scope="session")
def hr_machine(request: pytest.FixtureRequest) -> None:
    """Ends the run with one line and an exit code if the machine cannot hold a testbed."""
    from harness.plugin.prerequisites import require_machine

    require_machine(request.config)


@pytest.fixture(scope="session")
def hr_run_log(hr_machine: None) -> Iterator[KernelLog]:
    """The kernel's log since the first testbed of the run."""
    from harness.plugin.building import kernel_log

    yield from kernel_log()


@pytest.fixture
def hr_kernel_log(hr_machine: None) -> Iterator[KernelLog]:
    """The kernel's log since the test began."""
    from harness.plugin.building import kernel_log

    yield from kernel_log()


@pytest.fixture(scope="session")
def hr_directory() -> Iterator[Path]:
    """Where captures go while the run lasts."""
    from harness.plugin.building import run_directory

    yield from run_directory()


@pytest.fixture(scope="session")
def hr_programs() -> Iterator[None]:
    """Unloads what the tests left loaded for each other."""
    yield
    from harness.bpf.pool import unload_idle

    unload_idle()


@pytest.fixture
def build_testbed(
    request: pytest.FixtureRequest, hr_run_log: KernelLog, hr_directory: Path, hr_programs: None
) -> Iterator[BuildTestbed]:
    """A function that builds testbeds: `build_testbed("one_node", datapath, family, …)`.

    Further arguments: `topology` (changes, a dict), `settings`, `features`. Without the last two a
    node that does not run what the test asks for skips the test, or fails it.
    """
    from harness.plugin.building import building

    with building(request, hr_run_log, hr_directory) as build:
        yield build


@pytest.fixture
def require_feature(hr_machine: None) -> Callable[[str], None]:
    """A function: skip if this kernel is too old for a feature, fail if a newer one lacks it.

    `require_feature("netdev-egress")`; the features: `harness.datapath.features.FEATURES`.
    """
    from harness.plugin.building import require_feature

    return require_feature


@pytest.fixture
def hr_observed(request: pytest.FixtureRequest) -> Observe:
    """A function that notes what the kernel did: `hr_observed("mark", 0x77)`.

    For behaviour that may differ between kernels on which the test passes all the same. It goes
    into the record beside the outcome.
    """
    from harness.plugin.record import observer

    return observer(request.node)


@pytest.fixture
def hr_comparison(
    request: pytest.FixtureRequest, family: Any, hr_machine: None, hr_programs: None
) -> Comparison:
    """The comparison of a measure; the first test of a testbed waits for all of them."""
    from harness.plugin.bench import comparison

    return comparison(request, family)


@pytest.fixture
def hr_growth(
    request: pytest.FixtureRequest, family: Any, hr_machine: None, hr_programs: None
) -> Growth:
    """The curve of a measure; the first test of an axis waits for all of them."""
    from harness.plugin.bench import growth

    return growth(request, family)


@pytest.fixture
def hr_conclude(request: pytest.FixtureRequest) -> Conclude:
    """A function that ends a test by what comparisons say: `hr_conclude([answer(…)])`.

    What is refuted fails it. What cannot be told makes it inconclusive, which fails only with
    `--hr-require`.
    """
    from functools import partial

    from harness.plugin.inconclusive import conclude

    return partial(conclude, request.node)


@pytest.fixture
def hr_say(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[str], None]:
    """A function that puts a line into the terminal's summary and the test's report."""
    from harness.plugin.bench import teller

    return teller(request.config, record_property)
