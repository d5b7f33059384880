# SPDX-License-Identifier: Apache-2.0
"""The same command on several kernels: several guests at once, each with its results."""

from __future__ import annotations

import os
import queue
import termios
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from harness.kernels import files, modules, records
from harness.kernels.accelerator import Accelerator, accelerator, emulation
from harness.kernels.fetch import Fetcher
from harness.kernels.guest import Job, Machine, harness_root, prepare
from harness.kernels.image import Images, build
from harness.kernels.resolve import find
from harness.kernels.result import Result, describe, write_summary
from harness.kernels.supervisor import LIMITS, Ended, Limits, Watcher
from harness.kernels.sweep import sweep
from harness.plumbing import scratch
from harness.plumbing.errors import GuestError, HarnessError
from harness.plumbing.signals import held, interruptible
from harness.results import ACCELERATOR_VARIABLE, BATCH

Say = Callable[[str], None]


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
        versions = Counter(result.kernel.version for result in self.results if result.kernel)
        for result in self.results:
            result.like = result.kernel is not None and versions[result.kernel.version] > 1

    def accelerator(self) -> Accelerator:
        """How guests run on this machine, tried with the first kernel there is."""
        found = [result.kernel for result in self.results if result.kernel is not None]
        how = accelerator(found[0].image) if found else emulation("no kernel to try with")
        self._say(f"guests run by {how}")
        return how

    def run(
        self,
        job: Callable[[Path], Job],
        machine: Machine,
        jobs: int,
        limits: Limits | None = None,
    ) -> None:
        """Run the job on every kernel that was found.

        Args:
            job: From the directory of a kernel's results to what its guest runs.
            machine: What the guests are.
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
        if not found:
            return
        limits = limits or LIMITS[machine.accelerator.name]
        # Times of guests that ran beside each other say nothing of their kernels.
        batch = {BATCH: self.directory.name if jobs == 1 else ""}

        def named(share: Path) -> Job:
            asked = job(share)
            return replace(asked, environment={**asked.environment, **batch})

        with self._shared_images(job(self.directory)) as images:
            workers = [
                threading.Thread(target=self._work, args=(todo, named, machine, images, limits))
                for _ in range(min(jobs, len(found)))
            ]
            for worker in workers:
                worker.start()
            try:
                for worker in workers:
                    with interruptible():
                        worker.join()
            except KeyboardInterrupt:
                self._watcher.stop()
                with held():  # each ends soon, and uses what is removed after this
                    for worker in workers:
                        worker.join()
                raise

    def interact(self, job: Job, machine: Machine) -> Ended:
        """Run a job that has the terminal on the first kernel.

        Raises:
            HarnessError: The guest cannot be started.
        """
        result = self.results[0]
        assert result.kernel is not None
        limits = LIMITS[machine.accelerator.name]
        terminal = termios.tcgetattr(0) if os.isatty(0) else None
        try:
            with self._shared_images(job) as images:
                self._run_one(result, lambda _: job, machine, images, limits)
        finally:
            if terminal is not None:  # QEMU may not have come to put it back
                termios.tcsetattr(0, termios.TCSADRAIN, terminal)
        assert result.ended is not None
        return result.ended

    @contextmanager
    def _shared_images(self, job: Job) -> Iterator[dict[str, Path]]:
        checkout = job.directory
        with ExitStack() as closing:
            host = closing.enter_context(self._images.of_host())
            directory = scratch.make("checkout")
            closing.callback(scratch.remove, directory)
            image = directory / "checkout.ext4"
            trees = [checkout]
            of_host = any(harness_root().is_relative_to(tree) for tree in files.python_trees())
            if not (of_host or harness_root().is_relative_to(checkout)):
                trees.append(harness_root())
            moved: dict[Path, Path] = {}
            for tree in trees:
                moved |= files.bytecode(tree, self._images.bytecode)
            paths = [path for tree in trees for path in files.checkout(tree)]
            build([*paths, *job.files], image, moved)
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
        result.directory.mkdir(0o700)  # nobody else meets what a guest makes there
        own = scratch.make("guest")
        try:
            with self._fetcher.store.using(kernel.release):
                asked = job(result.directory)
                how = {ACCELERATOR_VARIABLE: machine.accelerator.name}
                asked = replace(asked, environment={**asked.environment, **how})
                prepared = prepare(kernel, machine, asked, images, own, result.directory)
                self._say(f"{result.name}: boots ({kernel.release}, {machine.accelerator.name})")
                result.ended = self._watcher.run(prepared, limits, asked.interactive)
        finally:
            scratch.remove(own)
            removed = sweep(result.directory)
            if removed:
                what = f"{len(removed)} of its results were no files, such as {removed[0]}: removed"
                self._say(f"{result.name}: {what}")
            _remove_empty(result.directory / "results")
        result.found = records.read(result.directory / "results")
        write_summary(result)


def _remove_empty(directory: Path) -> None:
    """Remove directories that hold nothing: among them the guest's mount points."""
    for path, _, _ in os.walk(directory, topdown=False):
        with suppress(OSError):
            Path(path).rmdir()
