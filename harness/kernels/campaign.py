# SPDX-License-Identifier: Apache-2.0
"""The same command on several kernels: several guests at once, each with its results. Floor 6."""

from __future__ import annotations

import json
import os
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness import scratch
from harness.errors import FAILED_ON_KERNEL, GuestError, HarnessError
from harness.kernels import files, modules, outcomes
from harness.kernels.accelerator import Accelerator, accelerator
from harness.kernels.fetch import Fetcher
from harness.kernels.find import find
from harness.kernels.guest import Job, Machine, check_paths, harness_root, prepare
from harness.kernels.image import Images, build
from harness.kernels.kernel import Kernel
from harness.kernels.outcomes import Outcome
from harness.kernels.tools import find_tool, qemu, virtme_run
from harness.kernels.watch import LIMITS, Ended, Limits, Watcher

Say = Callable[[str], None]

_QEMU_OVERHEAD = 300  # MiB: QEMU's own, and what it translates
_PYTEST_JUDGED = (0, 1)  # tests ran, and passed or failed
#: What a guest that came to its end leaves, and nobody needs.
_SCAFFOLD = ("progress", "status", "qemu.log", "full", "modprobe")


@dataclass
class Result:
    """What became of one kernel.

    Attributes:
        asked: What the user called it.
        kernel: It; None: it could not be had.
        directory: Where its results are.
        ended: How its guest ended; None: it was not started.
        error: Why it was not started.
        outcomes: Of its tests.
    """

    asked: str
    kernel: Kernel | None = None
    directory: Path | None = None
    ended: Ended | None = None
    error: HarnessError | None = None
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For the head of a column."""
        return self.kernel.version if self.kernel is not None else self.asked

    @property
    def trouble(self) -> str:
        """Why there is no whole result; empty: there is."""
        if self.error is not None:
            return str(self.error)
        return "not begun" if self.ended is None else self.ended.trouble

    @property
    def exit_code(self) -> int:
        """0, `FAILED_ON_KERNEL`, or that of the error."""
        if self.error is not None:
            return self.error.exit_code
        if self.ended is None or self.ended.trouble:
            return GuestError.exit_code
        return FAILED_ON_KERNEL if self.ended.status else 0


def check_tools() -> None:
    """Refuse to begin where a guest cannot be run.

    Raises:
        MissingToolError: A program is missing, and which package holds it.
    """
    qemu()
    virtme_run()
    for name in ("busybox", "file", "modprobe", "depmod", "mkfs.ext4"):
        find_tool(name)


def at_once(asked: int, memory: int) -> int:
    """How many guests run at once: no more than asked, than cores, than there is memory for.

    Raises:
        GuestError: There is no memory for a single one.
    """
    free = _available_memory()
    room = free // (memory + _QEMU_OVERHEAD)
    if room < 1:
        raise GuestError(
            f"{free} MiB of memory are free, a guest takes {memory + _QEMU_OVERHEAD}",
            "end something, or give it less with --memory",
        )
    return max(1, min(asked, len(os.sched_getaffinity(0)), room))


def _available_memory() -> int:
    """MiB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":") for line in file)
    return int(fields["MemAvailable"].split()[0]) // 1024


def new_directory(results: Path) -> Path:
    """A directory of this run's own below `results`/kernels.

    Raises:
        GuestError: It cannot be made.
    """
    stem = f"kernels-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    path = results.absolute() / "kernels" / stem
    check_paths(path)
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise GuestError(f"results cannot be written to {path} ({error.strerror})",
                         "use --results DIR") from None  # fmt: skip
    return path


class Campaign:
    """Several kernels, the same job on each.

    Attributes:
        directory: Where the results go, a directory for each kernel.
        results: One for each kernel, in the order they were asked for.
    """

    def __init__(self, fetcher: Fetcher, images: Images, directory: Path, say: Say) -> None:
        """As given; `say` takes a line whenever something happens."""
        self.directory = directory
        self.results: list[Result] = []
        self._fetcher, self._images, self._say = fetcher, images, say
        self._watcher = Watcher()

    def resolve(self, asked: Sequence[str], refresh: bool = False) -> None:
        """Find every kernel; one that cannot be had does not keep the others."""
        for name in dict.fromkeys(asked):
            result = Result(name)
            try:
                result.kernel = find(name, self._fetcher, refresh)
                modules.check(result.kernel)
            except HarnessError as error:
                result.error = error
                self._say(f"{name}: {error}")
            if result.kernel is not None and any(
                other.kernel is not None and other.kernel.release == result.kernel.release
                for other in self.results
            ):
                self._say(f"{name}: is {result.kernel.release}, which runs already")
                continue
            self.results.append(result)

    def run(
        self, job: Callable[[Path], Job], machine: Callable[[Accelerator], Machine],
        jobs: int, limits: Limits | None = None,
    ) -> None:  # fmt: skip
        """Run the job on every kernel that was found.

        Args:
            job: From the directory of a kernel's results to what its guest runs.
            machine: From how guests run to what they are.
            jobs: How many at once, as `at_once` allows.
            limits: When a guest is given up; by default, by how it runs.

        Raises:
            KeyboardInterrupt: After every guest has ended; those that had ended before have
                their results.
        """
        todo: queue.SimpleQueue[Result] = queue.SimpleQueue()
        found = [result for result in self.results if result.error is None]
        for result in found:
            todo.put(result)
        if not found or found[0].kernel is None:
            return
        how = accelerator(found[0].kernel.image)
        self._say(f"guests run by {how}")
        with self._shared_images(job(self.directory).directory) as images:
            workers = [
                threading.Thread(
                    target=self._work, args=(todo, job, machine(how), images,
                                             limits or LIMITS[how.name]),
                )
                for _ in range(min(jobs, len(found)))
            ]  # fmt: skip
            for worker in workers:
                worker.start()
            try:
                for worker in workers:
                    worker.join()
            except KeyboardInterrupt:
                self._watcher.stop()
                for worker in workers:
                    worker.join()
                raise

    @contextmanager
    def _shared_images(self, checkout: Path) -> Iterator[dict[str, Path]]:
        with ExitStack() as closing:
            host = closing.enter_context(self._images.of_host())
            directory = scratch.make("checkout")
            closing.callback(scratch.remove, directory)
            image = directory / "checkout.ext4"
            trees = [checkout]
            if not harness_root().is_relative_to(checkout):
                trees.append(harness_root())
            build([path for tree in trees for path in files.checkout(tree)], image)
            yield {"host": host, "checkout": image}

    def _work(
        self, todo: queue.SimpleQueue[Result], job: Callable[[Path], Job], machine: Machine,
        images: dict[str, Path], limits: Limits,
    ) -> None:  # fmt: skip
        """A worker: guest after guest, until none is left. QEMU dies with this thread."""
        while not self._watcher.stopped:
            try:
                result = todo.get_nowait()
            except queue.Empty:
                return
            try:
                self._run_one(result, job, machine, images, limits)
            except HarnessError as error:
                result.error = error
            except OSError as error:
                result.error = GuestError(f"{error.filename or result.name}: {error.strerror}")
            self._say(f"{result.name}: {describe(result)}")

    def _run_one(
        self, result: Result, job: Callable[[Path], Job], machine: Machine,
        images: dict[str, Path], limits: Limits,
    ) -> None:  # fmt: skip
        kernel = result.kernel
        assert kernel is not None
        result.directory = self.directory / kernel.release
        result.directory.mkdir()
        own = scratch.make("guest")
        try:
            with self._fetcher.store.using(kernel.release):
                prepared = prepare(kernel, machine, job(result.directory), images, own,
                                   result.directory)  # fmt: skip
                self._say(f"{result.name}: boots ({kernel.release}, {machine.accelerator.name})")
                result.ended = self._watcher.run(prepared, limits)
        finally:
            scratch.remove(own)
        result.outcomes = outcomes.read(result.directory / "junit.xml")
        write_summary(result)


def describe(result: Result) -> str:
    """What became of a kernel, one line."""
    if result.ended is None or result.ended.status is None:
        return result.trouble
    counted = outcomes.cell(result.outcomes) if result.outcomes else f"exit {result.ended.status}"
    if result.ended.status not in _PYTEST_JUDGED:
        counted += f" ({_last_word(result)})"
    seconds = result.ended.seconds
    whole = sum(seconds.values())
    times = f"{whole:.0f} s, {whole - seconds.get('run', 0.0):.0f} s of them outside the tests"
    return "; ".join(filter(None, (counted, result.trouble, times)))


def _last_word(result: Result) -> str:
    """Why a command ended as it did, by the end of its output."""
    assert result.directory is not None
    try:
        text = (result.directory / "output.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "it said nothing"
    lines = [line.strip() for line in text.splitlines() if line.strip(" =!-")]
    telling = [line for line in lines if "hostroute: " in line or line.startswith("ERROR")]
    return (telling or lines or ["it said nothing"])[-1]


def write_summary(result: Result) -> None:
    """summary.json among a kernel's results; what was only scaffolding goes."""
    assert result.kernel is not None
    assert result.directory is not None
    assert result.ended is not None
    kernel, ended = result.kernel, result.ended
    table = {
        "asked": result.asked, "release": kernel.release, "version": kernel.version,
        "origin": kernel.origin, "status": ended.status, "trouble": ended.trouble,
        "lines": list(ended.lines), "seconds": ended.seconds,
        "tests": outcomes.counts(result.outcomes),
    }  # fmt: skip
    draft = result.directory / ".summary"
    draft.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    draft.rename(result.directory / "summary.json")
    if ended.status is not None:
        for name in _SCAFFOLD:
            (result.directory / name).unlink(missing_ok=True)
