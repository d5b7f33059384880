# SPDX-License-Identifier: Apache-2.0
"""Whether two records may be compared: machine, kernel, rules and settings alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import to_builtins

from harness.plumbing.errors import UnlikeError
from harness.results.comparison import Built
from harness.results.index import comparisons, curves, exact
from harness.results.part import PodDevice
from harness.results.run import MachineFacts, Run

#: What may be unlike → the facts of the machine that say so.
KINDS: dict[str, tuple[str, ...]] = {
    "machine": ("architecture", "cpu_model", "cpus", "cpus_allowed", "virtualised", "accelerator",
                "machine_id_hash"),
    "kernel": ("kernel", "kernel_version"),
    "rules": (),
    "settings": ("governor",),
}  # fmt: skip
#: A program by its tag, as in the whole name of a datapath: `from_container=0123456789abcdef`.
_TAG = re.compile(r"\s*\b[\w.-]+=[0-9a-f]{16}\b")
#: Words of the kernel's command line that move numbers; others name disks and consoles.
_CMDLINE = re.compile(
    r"(?:mitigations|nospectre_v[12]|spectre_(?:v2|v2_user|bhi)|retbleed|nopti|k?pti|l1tf|mds|srbds"
    r"|tsx|tsx_async_abort|mmio_stale_data|gather_data_sampling|reg_file_data_sampling"
    r"|spec_store_bypass_disable|nospec_store_bypass_disable|ssbd|spec_rstack_overflow"
    r"|indirect_target_selection|vmscape|tsa"
    r"|nosmt|maxcpus|nr_cpus|isolcpus|nohz|nohz_full|rcu_nocbs|irqaffinity|threadirqs|skew_tick"
    r"|idle|nohlt|preempt|clocksource|tsc|processor\.max_cstate|intel_idle\.max_cstate|cpuidle\.off"
    r"|intel_pstate|amd_pstate|transparent_hugepage|init_on_(?:alloc|free)|slub_debug|page_poison"
    r")(?:=\S+)?"
)
#: The fact that says what joined a datapath's pods to their nodes.
POD_DEVICE = "pods' device"
_SHOWN = 4  # differences of a kind that are spelt out


@dataclass(frozen=True)
class Difference:
    """A fact in which two records are unlike.

    Attributes:
        kind: One of KINDS.
        fact: Which fact.
        old: What the first record says of it.
        new: What the second says.
    """

    kind: str
    fact: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.fact} {self.old or 'not known'} | {self.new or 'not known'}"


def differences(old: Run, new: Run) -> list[Difference]:
    """Everything in which two records are unlike and that moves numbers; programs are none of it.

    What the programs are is what one usually wants to compare.
    """
    found = [
        *_of_machines(old.machine, new.machine),
        *_of_comparisons(old, new),
        *_of_curves(old, new),
        *_of_exact(old, new),
        *_of_tests(old, new),
    ]
    return list(dict.fromkeys(found))


def require_alike(old: Run, new: Run, across: frozenset[str]) -> list[Difference]:
    """The differences, all of them of the kinds that were named.

    Args:
        old: A record.
        new: Another.
        across: Kinds of difference that are asked for.

    Raises:
        UnlikeError: There are others: what differs, and what to name.
    """
    found = differences(old, new)
    unasked = [each for each in found if each.kind not in across]
    if not unasked:
        return found
    said = []
    for kind in KINDS:
        of_kind = [str(each) for each in unasked if each.kind == kind]
        said += of_kind[:_SHOWN]
        if len(of_kind) > _SHOWN:
            said.append(f"{kind}: {len(of_kind) - _SHOWN} more")
    kinds = sorted(across | {each.kind for each in unasked}, key=list(KINDS).index)
    raise UnlikeError(
        f"the records are unlike ({'; '.join(said)})",
        f"to compare them all the same, name it: --across {','.join(kinds)}",
    )


def _of_machines(old: MachineFacts, new: MachineFacts) -> Iterator[Difference]:
    for kind, facts in KINDS.items():
        for fact in facts:
            before, after = getattr(old, fact), getattr(new, fact)
            unknown = fact == "machine_id_hash" and not (before and after)
            if before != after and not unknown:
                yield Difference(kind, fact, str(before), str(after))
    yield from _of_texts("settings", "", old.sysctls, new.sysctls)
    words = [" ".join(sorted(_words(machine.cmdline))) for machine in (old, new)]
    if words[0] != words[1]:
        yield Difference("settings", "kernel command line", *(text or "(none)" for text in words))


def _words(cmdline: str) -> list[str]:
    return [word for word in cmdline.split() if _CMDLINE.fullmatch(word)]


def _of_texts(kind: str, where: str, old: object, new: object) -> Iterator[Difference]:
    """In what two trees of facts differ, leaf by leaf."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            place = f"{where}.{key}".strip(".")
            yield from _of_texts(kind, place, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        gone, come = (sorted(set(map(str, a)) - set(map(str, b))) for a, b in
                      ((old, new), (new, old)))  # fmt: skip
        if gone or come:
            texts = (" ".join(each) or "-" for each in (gone, come))
            yield Difference(kind, f"only in one: {where}", *texts)
    elif old != new:
        yield Difference(kind, where, _text(old), _text(new))


def without_tags(nodes: Mapping[str, str]) -> dict[str, str]:
    """Whole names of what ran on nodes, without the tags of programs."""
    return {node: _TAG.sub("", text) for node, text in nodes.items()}


def _text(value: object) -> str:
    return "absent" if value is None else str(value)


def _of_comparisons(old: Run, new: Run) -> Iterator[Difference]:
    others = comparisons(new)
    for key, entry in comparisons(old).items():
        if key in others:
            yield from _of_arms(entry.arms, others[key].arms)


def _of_curves(old: Run, new: Run) -> Iterator[Difference]:
    others = curves(new)
    for key, entry in curves(old).items():
        if key in others:
            yield from _of_arms(entry.arms, others[key].arms)


def _of_arms(old: Mapping[str, Built], new: Mapping[str, Built]) -> Iterator[Difference]:
    for label, arm in old.items():
        if label in new:
            yield from _of_arm(arm, new[label])


def _of_arm(old: Built, new: Built) -> Iterator[Difference]:
    # Rules stand there by count and digest. Programs do by tag, which is what may be compared.
    yield from _of_texts("rules", "", *(without_tags(arm.nodes) for arm in (old, new)))
    for part, facts in (
        ("settings", (old.settings, new.settings)), ("topology", (old.topology, new.topology)),
    ):  # fmt: skip
        kept = ({k: v for k, v in each.items() if k != "legacy_services"} for each in facts)
        yield from _of_texts("settings", part, *kept)
    yield from _of_texts("settings", "", *(to_builtins(arm.hosts) for arm in (old, new)))
    yield from _of_devices(old.datapath, [old.pod_device], [new.pod_device])


def _of_exact(old: Run, new: Run) -> Iterator[Difference]:
    others = exact(new)
    for key, entry in exact(old).items():
        if key in others:
            yield from _of_devices(entry.datapath, [entry.pod_device], [others[key].pod_device])


def _of_tests(old: Run, new: Run) -> Iterator[Difference]:
    others = {test.test: test for test in new.conformance}
    for test in old.conformance:
        if test.test in others:
            other = others[test.test]
            yield from _of_devices(test.datapath, test.pod_devices, other.pod_devices)


def _of_devices(
    datapath: str | None, old: Sequence[PodDevice | None], new: Sequence[PodDevice | None]
) -> Iterator[Difference]:
    """Whether pods hung on unlike devices, where both records say on which."""
    known = [", ".join(sorted({name for name in names if name})) for names in (old, new)]
    if all(known) and known[0] != known[1]:
        yield Difference("settings", f"{POD_DEVICE} ({datapath})", *known)
