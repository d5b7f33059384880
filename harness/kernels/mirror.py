# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel packages, through the machine's own mirror and a private apt.

The private apt has sources, lists and archives of its own below the cache; nothing of the
machine's apt changes, and its hooks do not run. From the machine it takes where the mirror is
(`apt-get indextargets`), and how to get there: proxies, certificates, credentials (`Acquire::…`).
What it fetches is signed by Debian's keys, whatever the machine's sources say.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from harness.kernels.catalogue import catalogue
from harness.kernels.lock import locked, unwritable
from harness.kernels.tools import find_tool, run
from harness.plumbing.errors import CommandError, KernelSourceError, MissingToolError

#: Lists older than this are fetched anew before a kernel is looked for, seconds.
FRESH = 24 * 3600.0
_DEADLINE = 900.0  # seconds for lists or packages, on a slow line
_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg",
             "/usr/share/keyrings/debian-archive-keyring.pgp")  # fmt: skip
#: How sources.list may call Debian's releases besides their own names.
_ALIASES = ("oldoldstable", "oldstable", "stable", "testing", "unstable")
_SIGNATURE = re.compile(
    r"GPG error|NO_PUBKEY|BADSIG|EXPKEYSIG|is not signed|couldn't be verified|"
    r"invalid signature|not live until|verification failed",
    re.IGNORECASE,
)
#: What it says of a suite that the mirror has not, and what is no failure of its own.
_PASSED_OVER = re.compile(
    r"Release file|404 +Not Found|File not found|Some index files failed to download"
)


@dataclass(frozen=True)
class Package:
    """A package in the lists, one version of it.

    Attributes:
        name: As in linux-image-6.12.117+deb13-amd64.
        version: Debian's, as in 6.12.117-1.
        size: Bytes.
        needs: Names of the packages it depends on.
    """

    name: str
    version: str
    size: int
    needs: tuple[str, ...]


def parse_records(text: str) -> list[Package]:
    """What `apt-cache show` prints, one package a paragraph."""
    packages = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): ?(.*)$", paragraph, re.M))
        if "Package" not in fields or "Filename" not in fields:
            continue  # installed by hand, and in no archive
        depends = ",".join(fields.get(key, "") for key in ("Pre-Depends", "Depends"))
        needs = tuple(dict.fromkeys(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", depends)))
        packages.append(
            Package(fields["Package"], fields["Version"], int(fields.get("Size", 0)), needs)
        )
    return packages


class Mirror:
    """The machine's mirror of Debian.

    Attributes:
        directory: The private apt's root.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._complaints: list[str] = []
        self._not_fetched: list[str] = []
        self._tried = False
        self._failed: KernelSourceError | None = None

    def packages(self, pattern: str, refresh: bool = False) -> list[Package]:
        """Every version of every package whose name matches.

        Args:
            pattern: A regular expression for the whole name.
            refresh: Whether lists that are younger than a day are fetched anew as well.

        Raises:
            KernelSourceError: The machine has no mirror of Debian, or it gives nothing, or the
                lists cannot be written.
        """
        try:
            with locked(self.directory):  # apt has a lock, but gives up at once
                self._update(refresh)
                names = self._apt("apt-cache", "pkgnames", "linux-").split()
                chosen = sorted(name for name in names if re.fullmatch(pattern, name))
                return parse_records(self._apt("apt-cache", "show", *chosen)) if chosen else []
        except OSError as error:
            raise unwritable(self.directory, error) from None

    def download(self, packages: list[Package], directory: Path) -> list[Path]:
        """Fetch packages; apt compares them with the checksums of the signed lists.

        Raises:
            KernelSourceError: One cannot be fetched, or is not what the lists say.
        """
        wanted = [f"{package.name}={package.version}" for package in packages]
        try:
            with locked(self.directory, fcntl.LOCK_SH):
                self._apt("env", "-C", str(directory), "apt-get", "download", "--quiet=2", *wanted)
        except CommandError as error:
            raise KernelSourceError(
                f"{', '.join(wanted)} cannot be fetched: {_first_complaint(error.stderr)}",
                "look at the mirror and the line to it; `hostroute kernels fetch` tries again",
            ) from None
        return sorted(directory.glob("*.deb"))

    def absent(self) -> list[str]:
        """Suites of the catalogue that the mirror does not carry, or whose lists were refused."""
        present = self._apt("apt-get", "indextargets", "--format", "$(RELEASE) $(FILENAME)",
                            "Created-By: Packages")  # fmt: skip
        found = {
            release
            for release, _, path in (line.partition(" ") for line in present.splitlines())
            if Path(path).exists() or list(Path(path).parent.glob(f"{Path(path).name}.*"))
        }
        return [suite for suites in catalogue().suites.values() for suite in suites
                if suite not in found]  # fmt: skip

    @property
    def refused(self) -> list[str]:
        """What apt said of signatures when the lists were fetched, and why one was not fetched."""
        signatures = [line for line in self._complaints if _SIGNATURE.search(line)]
        return [*signatures, *self._not_fetched[:1]]

    def remove(self) -> bool:
        """Remove the private apt; False: another process uses it."""
        if not self.directory.exists():
            return True
        try:
            with locked(self.directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(self.directory, ignore_errors=True)
        except BlockingIOError:
            return False
        return True

    def _update(self, refresh: bool) -> None:
        """Write the private root, and fetch its lists unless they are fresh."""
        if self._failed is not None:  # a mirror that does not answer is waited for once
            raise self._failed
        if self._tried:
            return
        self._write()
        stamp = self.directory / "fetched"
        sources = (self.directory / "sources.list").read_text(encoding="utf-8")
        try:
            fresh = time.time() - stamp.stat().st_mtime < FRESH
            if fresh and not refresh and stamp.read_text(encoding="utf-8") == sources:
                return
        except OSError:
            pass
        stamp.unlink(missing_ok=True)
        # A suite that is not there, or not signed, is an error of apt's that leaves the others be;
        # one that cannot be fetched now is none, and only told of, on stderr.
        update = ("apt-get", "update", "--quiet=2")
        try:
            said = self._apt("sh", "-c", 'exec "$@" 2>&1', "sh", *update)
            self._not_fetched = not_fetched(said)
        except CommandError as error:
            said = error.stdout
            hung = [f"`{' '.join(update)}` ended with {error.status}"]
            whole = isinstance(error.status, int) and _complaints(said)
            self._not_fetched = not_fetched(said) if whole else hung
        self._complaints = _complaints(said)
        if len(self.absent()) == sum(len(suites) for suites in catalogue().suites.values()):
            what = self._complaints[0] if self._complaints else "no list was fetched"
            self._failed = KernelSourceError(
                f"the mirror gives no list of kernel packages: {what}",
                "does `apt-get update` work on this machine?",
            )
            raise self._failed
        self._tried = True
        if not self._not_fetched:
            stamp.write_text(sources, encoding="utf-8")

    def _write(self) -> None:
        """The private root: sources from the machine's own, configuration without its hooks."""
        for name in ("etc", "state/lists/partial", "cache/archives/partial"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "status").touch()
        (self.directory / "sources.list").write_text(sources(), encoding="utf-8")
        (self.directory / "apt.conf").write_text(self._configuration(), encoding="utf-8")

    def _configuration(self) -> str:
        host = run(["apt-config", "dump"])
        kept = [line for line in host.splitlines()
                if re.match(r"Acquire::(?!IndexTargets)", line)]  # fmt: skip
        root = self.directory
        own = {
            "Dir::State": root / "state", "Dir::State::status": root / "status",
            "Dir::Cache": root / "cache", "Dir::Etc::sourcelist": root / "sources.list",
            "Dir::Etc::sourceparts": root / "etc", "Dir::Etc::parts": root / "etc",
            "Dir::Etc::main": "/dev/null", "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": root / "etc", "Dir::Log": root / "state",
            "APT::Sandbox::User": "root",  # the cache is the user's, and closed to apt's own user
            "APT::Get::AllowUnauthenticated": "0",
            "Acquire::AllowInsecureRepositories": "0", "Acquire::AllowWeakRepositories": "0",
            "Acquire::AllowDowngradeToInsecureRepositories": "0",
        }  # fmt: skip
        lines = [f'{key} "{value}";' for key, value in own.items()]
        return "\n".join([*kept, *lines, '#clear Acquire::Languages;',
                          'Acquire::Languages { "none"; };', ""])  # fmt: skip

    def _apt(self, *argv: str) -> str:
        find_tool("apt-get")
        return run(list(argv), timeout=_DEADLINE, APT_CONFIG=str(self.directory / "apt.conf"))


def sources() -> str:
    """A sources.list of every suite in the catalogue, at the machine's own mirrors.

    Raises:
        KernelSourceError: The machine's sources name no mirror of Debian.
        MissingToolError: Debian's keys are not installed.
    """
    keyrings = [path for path in _KEYRINGS if Path(path).exists()][:1]
    if not keyrings:
        raise MissingToolError(
            "Debian's archive keys are not installed",
            "run `apt-get install debian-archive-keyring`",
        )
    targets = run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)",
                   "Created-By: Packages"])  # fmt: skip
    archives = mirrors(targets)
    if "main" not in archives:
        raise KernelSourceError(
            "the machine's apt sources name no mirror of Debian",
            "name the path of a kernel instead, or an installed one",
        )
    lines = [
        f"deb [signed-by={keyrings[0]}] {uri} {suite} main"
        for archive, suites in catalogue().suites.items()
        for uri in archives.get(archive, [])
        for suite in suites
    ]
    return "\n".join([*lines, ""])


def mirrors(targets: str) -> dict[str, list[str]]:
    """Archive (`main`, `security`) → its mirrors, by what `apt-get indextargets` prints.

    Args:
        targets: Lines of a suite's name and its archive's address; others than Debian's, which
            their suites' names tell, are passed over.
    """
    releases = {suite.partition("-")[0] for suite in catalogue().suites["main"]} | {*_ALIASES}
    found: dict[str, list[str]] = {}
    for line in targets.splitlines():
        suite, _, uri = line.partition(" ")
        release, _, pocket = suite.replace("/", "-").partition("-")
        if release in releases and pocket in ("", "updates", "backports", "security"):
            known = found.setdefault("security" if pocket == "security" else "main", [])
            if uri not in known:
                known.append(uri)
    return found


def not_fetched(said: str) -> list[str]:
    """What of apt's complaints the next try may mend.

    Not what the mirror has not, nor what it has without a signature: that will be so again.
    """
    lines = re.findall(r"^(?:E: |W: (?=Failed to fetch))(.*)$", said, re.M)
    return [line for line in lines
            if not _PASSED_OVER.search(line) and not _SIGNATURE.search(line)]  # fmt: skip


def _complaints(stderr: str) -> list[str]:
    return [line[2:].strip() for line in stderr.splitlines() if line[:2] in ("W:", "E:")]


def _first_complaint(stderr: str) -> str:
    return next(iter(_complaints(stderr)), stderr.strip().replace("\n", " | ") or "no reason given")
