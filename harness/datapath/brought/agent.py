# SPDX-License-Identifier: Apache-2.0
"""A datapath that an agent installs: the table `[command]`. One process a testbed.

The agent is asked for its VERSION when the description is read; then each testbed starts one, which
gets all nodes in one ADD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.attach import Listed, all_attachments
from harness.datapath.base import Counters
from harness.datapath.brought import protocol
from harness.datapath.brought.agent_process import AgentProcess, Program
from harness.datapath.brought.claimed import claims_of, values_of
from harness.datapath.brought.description import Described, Description, DescriptionError
from harness.datapath.brought.node import prepare
from harness.datapath.brought.protocol import DEADLINES, PROTOCOL, Added, Done, Status, Version
from harness.datapath.brought.table import Table
from harness.datapath.claims import ClaimError, text
from harness.datapath.policy import Policy
from harness.datapath.services import Service
from harness.datapath.settings import NodeSettings
from harness.plumbing.closable import Closable
from harness.plumbing.errors import AgentError
from harness.plumbing.printable import one_line
from harness.plumbing.trusted import TrustedDirectory, TrustedFile
from harness.topology import Node

_LIMIT = 1 << 28
_LONGEST = 3600.0
_Answer = TypeVar("_Answer", Version, Added, Status, Done)


@dataclass(frozen=True)
class Agent(Described):
    """A datapath that somebody's agent installs.

    Attributes:
        description: What the file says; its claims with those that the agent answered.
        argv: The command.
        files: What is run, and what the file says that it reads → its sha256.
        deadlines: Verb → seconds.
        program: What is run.
        says: What the agent calls itself.
    """

    description: Description
    argv: tuple[str, ...]
    files: Mapping[str, str] = field(hash=False)
    deadlines: Mapping[str, float] = field(hash=False)
    program: Program = field(compare=False, repr=False)
    says: str = ""

    @property
    def version(self) -> str:
        """What the agent calls itself; if it is silent, what the file says."""
        return self.says or self.description.version

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that it needs, without links."""
        description = self.description.path.resolve()
        return (description, *(description.parent / Path(name) for name in self.files))

    def install(self, node: Node, settings: NodeSettings) -> InstalledAgent:
        """Put it on one node."""
        return self.install_all([node], settings)[0]

    def install_all(self, nodes: Sequence[Node], settings: NodeSettings) -> list[InstalledAgent]:
        """Start the agent, and have it put itself on all nodes of a testbed.

        Raises:
            AgentError: It did not.
        """
        for node in nodes:
            prepare(node, self.description.testbed)
        for node in nodes:
            node.await_settled()
        session = Session(self)
        try:
            session.add(nodes, settings)
        except BaseException:
            session.abandon()
            raise
        return [InstalledAgent(session, node) for node in nodes]


class Session(Closable):
    """A running agent, for one testbed.

    Attributes:
        agent: What runs.
        programs: What it says that it loaded.
    """

    def __init__(self, agent: Agent) -> None:
        """Start it.

        Raises:
            AgentError: It cannot be started.
        """
        self.agent = agent
        self.programs: list[protocol.Program] = []
        self._who = f"{agent.name}: agent {agent.argv[0]}"
        self._process = AgentProcess(self._who, agent.program, agent.argv[1:])
        self._settings = NodeSettings()
        self._installed = self._closed = False
        self._lost = False  # whether what it says next may belong to an earlier question
        self._untold: AgentError | None = None

    def version(self) -> Version:
        """Ask which protocol it speaks, and who it is."""
        found = self._ask("VERSION", Version)
        if found.protocol != PROTOCOL:
            raise AgentError(
                f"{self._who} speaks protocol {found.protocol}, not {PROTOCOL}",
                f"have it speak protocol {PROTOCOL}",
            )
        return found

    def add(self, nodes: Sequence[Node], settings: NodeSettings) -> None:
        """Have it put itself on nodes; devices that it makes there are the testbed's."""
        facts = protocol.nodes_facts(nodes, self.agent.description.testbed)
        self._installed, self._settings = True, settings
        self._changed("ADD", nodes, settings=protocol.settings_facts(settings), nodes=facts)

    def sync(self, node: Node) -> None:
        """Tell it what a node is like now."""
        prepare(node, self.agent.description.testbed)
        node.await_settled()
        facts = protocol.nodes_facts([node], self.agent.description.testbed)
        self._changed("SYNC", [node], nodes=facts)

    def ask_for(self, node: Node, settings: NodeSettings) -> None:
        """Tell it of other settings, with what a node is like now."""
        self._settings = settings
        facts = protocol.nodes_facts([node], self.agent.description.testbed)
        asked = protocol.settings_facts(settings)
        self._changed("SYNC", [node], settings=asked, nodes=facts)

    @property
    def settings(self) -> NodeSettings:
        """What the operator asks for now."""
        return self._settings

    def _changed(self, verb: str, on: Sequence[Node], **fields: object) -> None:
        added = self._ask(verb, Added, **fields)
        self._check_claims(verb, added.claims)
        self.programs = added.programs or self.programs
        for node in on:
            node.adopt_devices()

    def _check_claims(self, verb: str, claims: Mapping[str, Any]) -> None:
        """Refuse claims other than the run judges it by: those were needed before it began."""
        families = self.agent.families
        for name, value in values_of(Table(self._who, verb, claims), families).items():
            judged = getattr(self.agent.claims, name)
            if value != judged:
                raise ClaimError(
                    f"{self._who} claims {name} = {text(value)} in its answer to {verb}, and is"
                    f" judged by {name} = {text(judged)}",
                    "have [datapath.claims] or its answer to VERSION say so, too",
                )

    def _ask(self, verb: str, kind: type[_Answer], **fields: object) -> _Answer:
        line = protocol.request(verb, **fields)
        self._lost = True
        said = self._process.ask(verb, line, self.agent.deadlines[verb])
        try:
            found = protocol.answer(said, kind)
        except protocol.AnswerError as error:
            shown = one_line(said[:60].decode(errors="replace"))
            raise AgentError(
                f"{self._who} answered {verb} with {shown!r}: {error}",
                "docs/your-datapath.md has what may be answered", self._process.log,
            ) from None  # fmt: skip
        self._lost = False
        if isinstance(found, protocol.Refusal):
            code = f" ({found.code})" if found.code != "" else ""
            what = f"{self._who} refused {verb}{code}: {found.msg}"
            raise AgentError(what, log=self._process.log)
        return found

    def report(self) -> dict[str, str]:
        """What it says of itself, and the last that it wrote to stderr: for a failed test."""
        told = ""
        if not (self._closed or self._lost):
            try:
                told = self._ask("STATUS", Status).text
            except AgentError as error:  # one that died is what the report is about
                self._untold = error
                told = str(error)
        log = "" if self._closed else self._process.log
        sections = {"agent": told, "agent's stderr": log}
        return {f"{key} ({self.agent.name})": value for key, value in sections.items() if value}

    def describe(self) -> str:
        """Name, version, hash of what is run, and the programs that it named."""
        own = f", says {self.agent.says}" if self.agent.says else ""
        programs = "".join(f" {one.name}={one.tag or 'loaded'}" for one in self.programs)
        digest = self.agent.program.sha256[:16]
        title = self.agent.description.title
        return one_line(f"{title} (agent {digest}{own}{programs})")

    def close(self) -> None:
        """Have it take all back, and end it with all that it forked; nothing where that was done.

        Raises:
            AgentError: It had died, or did not take it back.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._untold is not None:
                raise self._untold
            if not self._lost:
                if self._installed:
                    self._ask("DEL", Done)
                else:
                    self._process.check_alive("before its input ended")
                self._process.ask_to_end()
                self._process.check_silence()
        finally:
            self._process.close()

    def abandon(self) -> None:
        """As `close`, after an error that says more than what DEL may meet."""
        with suppress(AgentError):
            self.close()


class InstalledAgent:
    """The agent's datapath on a node.

    Attributes:
        node: The node.
        name: The datapath's.
    """

    def __init__(self, session: Session, node: Node) -> None:
        self._session, self.node, self.name = session, node, session.agent.name

    def await_ready(self) -> None:
        """It forwards once ADD is answered."""

    def counters(self) -> Counters:
        """Nothing: what an agent counts is not asked for."""
        return Counters()

    def attachments(self) -> list[Listed]:
        """The programs on the node's hooks, as the kernel lists them."""
        return all_attachments(self.node.ns)

    def sync(self) -> None:
        """Tell the agent what the node is like now."""
        self._session.sync(self.node)

    def enforce(self, policy: Policy) -> None:
        """Tell the agent of other rules."""
        self._session.ask_for(self.node, replace(self._session.settings, policy=policy))

    def serve(self, services: Sequence[Service]) -> None:
        """Tell the agent of other services."""
        asked = replace(self._session.settings, used_services=tuple(services))
        self._session.ask_for(self.node, asked)

    def report(self) -> dict[str, str]:
        """Title → text: what the agent says of itself, the same on all its nodes."""
        return self._session.report()

    def describe(self) -> str:
        """Whole name, with the hash of what is run."""
        return self._session.describe()

    def remove(self) -> None:
        """Have the agent take everything back, on all nodes, the first time."""
        self._session.close()

    def reload(self) -> None:
        """The next testbed starts another process, which loads its own."""


def from_table(description: Description, table: Table, directory: TrustedDirectory) -> Agent:
    """The datapath that the table `[command]` describes; asks its agent for VERSION.

    Raises:
        DescriptionError: The table is wrong, or the command is not trusted.
        AgentError: The agent does not start, or answers wrongly.
        ClaimError: What it claims is wrong, or contradicts the description.
    """
    argv = table.texts("argv")
    if not argv:
        table.fail("argv", "is empty", "name the agent: it lies in this file's directory")
    deadlines = _deadlines(table.table("deadlines"))
    program = _program(table, argv[0], directory)
    files = {argv[0]: program.sha256}
    for name in table.texts("files", ()):
        files[name] = _read(table, "files", name, directory).sha256
    table.end(("argv", "files", "deadlines"))
    agent = Agent(description, tuple(argv), files, deadlines, program)
    session = Session(agent)
    try:
        version = session.version()
    except BaseException:
        session.abandon()
        raise
    session.close()
    own = " ".join(filter(None, (version.name, version.version)))
    return replace(agent, says=one_line(own), description=_completed(agent, version.claims))


def _program(table: Table, name: str, directory: TrustedDirectory) -> Program:
    file = _read(table, "argv", name, directory)
    if not file.executable:
        table.fail("argv", f"{name} is not executable", f"run `chmod +x {file.path}`")
    return Program(file.path, file.sha256)


def _read(table: Table, key: str, name: str, directory: TrustedDirectory) -> TrustedFile:
    try:
        return directory.read(name, _LIMIT)
    except OSError as error:
        raise DescriptionError(f"{table.where(key)}: {name}: {error.strerror}") from None


def _deadlines(table: Table) -> dict[str, float]:
    found = dict(DEADLINES)
    for key, value in table.rest().items():
        if key.upper() not in found or not key.islower():
            known = ", ".join(verb.lower() for verb in found)
            table.fail(key, "is unknown", f"use {known}")
        if type(value) not in (int, float) or not 0 < value <= _LONGEST:
            table.fail(key, f"{value!r} is not between 0 and {_LONGEST:g} seconds")
        found[key.upper()] = float(value)
    return found


def _completed(agent: Agent, claims: Mapping[str, Any]) -> Description:
    """The description with what its agent claims besides.

    Raises:
        ClaimError: They contradict each other.
    """
    file, who = agent.description, f"{agent.name}: agent {agent.argv[0]}"
    values = {name: getattr(file.claims, name) for name in file.stated}
    for name, value in values_of(Table(who, "VERSION", claims), file.families).items():
        if values.setdefault(name, value) != value:
            raise ClaimError(
                f"{who} claims {name} = {text(value)}, its description {name} ="
                f" {text(values[name])}",
                "let one of them be silent, or say the same",
            )
    return replace(file, claims=claims_of(who, values)) if claims else file
