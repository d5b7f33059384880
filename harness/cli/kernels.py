# SPDX-License-Identifier: Apache-2.0
"""`hostroute kernels`: other kernels, got and kept, and the suites run on them. Floor 8."""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness.cli.command import Command
from harness.errors import GuestError, HarnessError, KernelSourceError, UnknownNameError
from harness.kernels import (
    Campaign,
    Fetcher,
    Images,
    Job,
    Machine,
    Mirror,
    Result,
    Store,
    at_once,
    catalogue,
    check_tools,
    find,
    installed_releases,
    new_directory,
    outcomes,
    selection,
)
from harness.kernels.fetch import matches, numbers, upstream
from harness.kernels.guest import MEMORY
from harness.kernels.tools import cache_root
from testbeds.catalogue import CATALOGUE

_KERNELS = "a version (6.12), a path (IMAGE or IMAGE:DIR), installed:RELEASE, or vng:TAG"
_speaking = threading.Lock()
Action = Callable[[argparse.Namespace], int]


def _say(line: str) -> None:
    with _speaking:
        print(line, file=sys.stderr, flush=True)


def _store() -> Store:
    return Store(cache_root() / "kernels")


def _fetcher() -> Fetcher:
    return Fetcher(_store(), Mirror(cache_root() / "apt"), _say)


def _images() -> Images:
    return Images(cache_root() / "images")


def _default() -> list[str]:
    return list(catalogue().default)


def _list(arguments: argparse.Namespace) -> int:
    """What is cached, what is installed, and with --mirror what the mirror has."""
    kept = sorted(_store().kept(), key=lambda kept: numbers(kept.version))
    print(f"default set: {' '.join(_default())}")
    for entry in kept:
        print(f"{entry.version:<12}cached     {entry.release:<28}{entry.size() / 1e6:6.0f} MB")
    for release in installed_releases():
        print(f"{'':<12}installed  {release}")
    if arguments.mirror:
        fetcher = _fetcher()
        newest: dict[str, str] = {}
        for package in fetcher.images(refresh=True):
            version = upstream(package.version)
            prefix = ".".join(version.split(".")[:2])
            newest[prefix] = max(newest.get(prefix, ""), version, key=numbers)
        for prefix in sorted(newest, key=numbers):
            print(f"{newest[prefix]:<12}mirror     {prefix}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    """Fetch kernels; one that cannot be had does not keep the others."""
    fetcher, code = _fetcher(), 0
    for name in arguments.kernels or _default():
        try:
            kernel = find(name, fetcher, refresh=True)
            print(f"{kernel.version:<12}{kernel.release:<28}{kernel.image}")
        except HarnessError as error:
            _say(f"hostroute: {error}")
            code = code or error.exit_code
    return code


def _path(arguments: argparse.Namespace) -> int:
    kernel = find(arguments.kernel, _fetcher())
    print(kernel.root if arguments.modules else kernel.image)
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    store, code = _store(), 0
    known = {kept.release: kept for kept in store.kept()}
    damaged = {path.name for path in store.root.glob("[0-9]*") if path.is_dir()} - set(known)
    chosen = [*known, *sorted(damaged)] if not arguments.kernels else []
    for name in arguments.kernels:
        meant = [r for r in [*known, *damaged]
                 if name == r or (r in known and matches(name, r, known[r].version))]  # fmt: skip
        if not meant:
            raise KernelSourceError(f"no kernel {name} is cached",
                                    f"cached are: {', '.join(known) or 'none'}")  # fmt: skip
        chosen += meant
    for release in dict.fromkeys(chosen):
        if store.remove(release):
            print(f"removed {release}")
        else:
            _say(f"hostroute: {release} is in use")
            code = GuestError.exit_code
    if not arguments.kernels:
        for name in _images().prune():
            print(f"removed {name}")
    return code


def _run(arguments: argparse.Namespace) -> int:
    """Run pytest on every kernel, and print assertions by kernel."""
    words = arguments.passed or ["-m", "conformance"]
    check_tools()
    jobs = at_once(arguments.jobs, arguments.memory)
    if jobs < arguments.jobs:
        _say(f"{jobs} at once, not {arguments.jobs}: for want of cores or memory")
    selection.check(words, Path.cwd())
    campaign = _campaign(arguments)

    def job(share: Path) -> Job:
        argv = [*selection.command(words), f"--junitxml={share / 'junit.xml'}", "--record"]
        return Job(argv, Path.cwd(), results=Path.cwd() / "results")

    _start(campaign, arguments, job, jobs)
    _print_matrix(campaign.results)
    return _exit_code(campaign.results)


def _campaign(arguments: argparse.Namespace) -> Campaign:
    """The kernels asked for, found."""
    results = Path(arguments.results)
    campaign = Campaign(_fetcher(), _images(), new_directory(results), _say)
    campaign.resolve(arguments.kernels or _default(), arguments.refresh)
    return campaign


def _start(
    campaign: Campaign, arguments: argparse.Namespace, job: Callable[[Path], Job], jobs: int,
    counting: bool = False,
) -> None:  # fmt: skip
    """Run; after Ctrl-C, show what there is."""
    try:
        campaign.run(job, lambda how: Machine(how, arguments.memory, counting=counting), jobs)
    except KeyboardInterrupt:
        _print_matrix(campaign.results)
        raise


def _print_matrix(results: list[Result]) -> None:
    """Assertions by kernel, then what needs a word."""
    shown = {result.name: result.outcomes for result in results if result.kernel is not None}
    titles = {identity: entry.title for identity, entry in CATALOGUE.items()}
    if any(shown.values()):
        print("\n".join(outcomes.table(shown, titles)))
    for result in results:
        for line in _remarks(result):
            print(f"{result.name}: {line}")
    for result in results:
        if result.directory is not None:
            print(f"{result.name}: {result.directory}")


def _remarks(result: Result) -> list[str]:
    """Failed tests, skips by their reasons, and what was wrong with the guest."""
    lines = [f"{outcome.test}: {outcome.reason}" for outcome in result.outcomes
             if outcome.outcome in ("failed", "error")]  # fmt: skip
    skipped = Counter(o.reason for o in result.outcomes if o.outcome == "skipped")
    lines += [f"{count} skipped: {reason}" for reason, count in skipped.items()]
    if result.trouble:
        shown = result.ended.lines if result.ended is not None else ()
        lines += [result.trouble, *(f"    {line}" for line in shown)]
    return lines


def _exit_code(results: list[Result]) -> int:
    """The first kernel that gave no whole result decides; else whether a test failed."""
    codes = [result.exit_code for result in results]
    return next((r.exit_code for r in results if r.trouble), max(codes, default=0))


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kernels", nargs="*", metavar="KERNEL",
                        help=f"{_KERNELS} (default: {' '.join(_default())})")  # fmt: skip
    parser.add_argument("-j", "--jobs", type=_positive, default=1, metavar="N",
                        help="guests at once, as far as cores and memory go")  # fmt: skip
    parser.add_argument("--memory", type=_positive, default=MEMORY, metavar="MIB",
                        help="of each guest (default: %(default)s)")  # fmt: skip
    parser.add_argument("--results", default="results", metavar="DIR",
                        help="results go below DIR/kernels (default: %(default)s)")  # fmt: skip
    parser.add_argument("--refresh", action="store_true",
                        help="look for newer kernels than the cached ones")  # fmt: skip


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(
        name: str, text: str, run: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text)
        added.set_defaults(act=run)
        return added

    listing = action("list", "kernels that are cached and installed", _list)
    listing.add_argument("--mirror", action="store_true", help="those the mirror has as well")
    fetching = action("fetch", "fetch kernels into the cache, the newest there are", _fetch)
    fetching.add_argument("kernels", nargs="*", metavar="KERNEL", help=_KERNELS)
    path = action("path", "the path of a kernel's image", _path)
    path.add_argument("kernel", metavar="KERNEL", help=_KERNELS)
    path.add_argument("--modules", action="store_true", help="of what has its lib/modules instead")
    pruning = action(
        "prune", "remove cached kernels; all of them and all images by default", _prune
    )
    pruning.add_argument("kernels", nargs="*", metavar="KERNEL", help="a version or a release")
    _add_run(
        action("run", "boot each kernel and run pytest inside, with the arguments after --", _run)
    )


def _dispatch(arguments: argparse.Namespace) -> int:
    if arguments.passed and arguments.act is not _run:
        raise UnknownNameError(f"`kernels {arguments.action}` takes nothing after --")
    run: Action = arguments.act
    return run(arguments)


COMMAND = Command("kernels", "other kernels: get them, and run the suites on them",
                  _arguments, _dispatch)  # fmt: skip
