# SPDX-License-Identifier: Apache-2.0
"""`hostroute kernels`: other kernels, got and kept, and the suites run on them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from harness.cli import kernels_exact as exact
from harness.cli import kernels_guests as guests
from harness.cli.command import Command, add_bring
from harness.cli.kernels_guests import KERNEL, default, fetcher, images, mirror, store
from harness.cli.output import complain, show
from harness.kernels import find, installed_releases
from harness.kernels.fetch import matches, numbers, upstream
from harness.kernels.guest import MEMORY
from harness.plumbing.errors import GuestError, HarnessError, KernelSourceError, UnknownNameError
from harness.plumbing.signals import interruptible

Action = Callable[[argparse.Namespace], int]
#: Actions that hand what follows -- to a program in the guest.
_PASS_ON = (guests.run,)
_LIMIT = "when to give a guest up that is at work (default: 1800 with KVM, 5400 under emulation)"


def _list(arguments: argparse.Namespace) -> int:
    """What is cached, what is installed, and with --mirror what the mirror has."""
    show(f"default set: {' '.join(default())}")
    for entry in sorted(store().kept(), key=lambda kept: numbers(kept.version)):
        show(f"{entry.version:<12}cached     {entry.release:<28}{entry.size() / 1e6:6.0f} MB")
    for release in installed_releases():
        show(f"{'':<12}installed  {release}")
    if arguments.mirror:
        newest: dict[str, str] = {}
        for package in fetcher().images(refresh=True):
            version = upstream(package.version)
            prefix = ".".join(version.split(".")[:2])
            newest[prefix] = max(newest.get(prefix, ""), version, key=numbers)
        for prefix in sorted(newest, key=numbers):
            show(f"{newest[prefix]:<12}mirror     {prefix}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    """Fetch kernels; one that cannot be had does not keep the others."""
    getting, code = fetcher(), 0
    for name in arguments.kernels or default():
        try:
            kernel = find(name, getting, refresh=True)
            show(f"{kernel.version:<12}{kernel.release:<28}{kernel.image}")
        except HarnessError as error:
            complain(error)
            code = code or error.exit_code
    return code


def _path(arguments: argparse.Namespace) -> int:
    """Print where a kernel's image is, or its modules."""
    kernel = find(arguments.kernel, fetcher())
    if arguments.modules and kernel.root is None:
        raise KernelSourceError(f"{arguments.kernel} has no modules", "are they all built in?")
    show(str(kernel.root if arguments.modules else kernel.image))
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    """Remove kernels that are named, or everything."""
    cache, code = store(), 0
    known = {kept.release: kept.version for kept in cache.kept()}
    damaged = [path.name for path in cache.root.glob("[0-9]*") if path.name not in known]
    chosen = [] if arguments.kernels else [*known, *damaged]
    if chosen and not arguments.yes and not _agreed(len(chosen)):
        return 0
    for name in arguments.kernels:
        meant = [release for release in (*known, *damaged)
                 if matches(name, release, known.get(release, ""))]  # fmt: skip
        if not meant:
            cached = ", ".join(known) or "none"
            raise KernelSourceError(f"no kernel {name} is cached", f"cached are: {cached}")
        chosen += meant
    for release in dict.fromkeys(chosen):
        if cache.remove(release):
            show(f"removed {release}")
        else:
            complain(f"{release} is in use")
            code = GuestError.exit_code
    if arguments.kernels:
        return code
    for name in (*cache.remove_partial(), *images().prune()):
        show(f"removed {name}")
    lists = mirror()
    if not lists.remove():
        complain(f"{lists.directory} is in use")
        code = GuestError.exit_code
    return code


def _agreed(number: int) -> bool:
    """Ask first, on a terminal; a script is not asked."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    show(f"this removes {number} cached kernels, images and lists of packages; go on? [y/N]")
    with interruptible():
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 1")
    return int(text)


def _add_guests(parser: argparse.ArgumentParser, without: str = "") -> None:
    """What every action that boots several kernels takes; `without` one, the default set."""
    parser.add_argument("kernels", nargs="*", metavar="KERNEL",
                        help=f"{KERNEL} (default: {without or ' '.join(default())})")  # fmt: skip
    parser.add_argument("-j", "--jobs", type=_positive, default=1, metavar="N",
                        help="guests at once, as far as cores and memory go")  # fmt: skip
    parser.add_argument("--results", default="results", metavar="DIR",
                        help="results go below DIR/kernels (default: %(default)s)")  # fmt: skip
    _add_guest(parser)


def _add_guest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--memory", type=_positive, default=MEMORY, metavar="MIB",
                        help="of each guest (default: %(default)s)")  # fmt: skip
    parser.add_argument("--refresh", action="store_true",
                        help="look for newer kernels than the cached ones")  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, run: Action, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text)
        added.set_defaults(act=run)
        return added

    listing = action("list", _list, "kernels that are cached and installed")
    listing.add_argument("--mirror", action="store_true", help="those the mirror has as well")
    fetching = action("fetch", _fetch, "fetch kernels into the cache, the newest there are")
    fetching.add_argument("kernels", nargs="*", metavar="KERNEL", help=KERNEL)
    path = action("path", _path, "where a kernel's image is")
    path.add_argument("kernel", metavar="KERNEL", help=KERNEL)
    path.add_argument("--modules", action="store_true", help="of what has its lib/modules instead")
    pruning = action("prune", _prune, "remove cached kernels; without one named, all, and images")
    pruning.add_argument("kernels", nargs="*", metavar="KERNEL", help="a version or a release")
    pruning.add_argument("--yes", action="store_true", help="remove all without being asked")
    running = action("run", guests.run, "run pytest on each kernel, with what follows --")
    add_bring(running)
    running.add_argument("--limit", type=_positive, metavar="SECONDS", help=_LIMIT)
    _add_guests(running)
    probing = action("features", guests.probe, "what each kernel has; without one, the running one")
    probing.add_argument("--json", action="store_true", help="for machines")
    _add_guests(probing, "the running one, as it is")
    bench = action("bench", exact.bench, "instructions of each datapath on each kernel")
    exact.add_arguments(bench)
    _add_guests(bench)
    shell = action("shell", guests.shell, "a shell in a guest, with a testbed up")
    shell.add_argument("kernel", metavar="KERNEL", help=KERNEL)
    shell.add_argument("testbed", metavar="TESTBED", nargs="?", default="one_node",
                       help="see `hostroute testbeds` (default: %(default)s)")  # fmt: skip
    shell.add_argument("host", metavar="HOST", nargs="?", default="master",
                       help="the host to be in (default: %(default)s)")  # fmt: skip
    _add_guest(shell)


def _dispatch(arguments: argparse.Namespace) -> int:
    run: Action = arguments.act
    if arguments.passed and run not in _PASS_ON:
        raise UnknownNameError(f"`kernels {arguments.action}` takes nothing after --")
    return run(arguments)


COMMAND = Command(
    "kernels", "other kernels: get them, and run the suites on them", _arguments, _dispatch
)
