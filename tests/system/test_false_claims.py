# SPDX-License-Identifier: Apache-2.0
"""Every claim of examples/elf, falsified once: the assertion that rests on it fails."""

from xml.etree import ElementTree

import pytest

from harness.datapath import CLAIMS
from tests.support import false_claims
from tests.support.elf_example import EXAMPLE
from tests.support.false_claims import FAULTS, PREFIX
from tests.support.run_cli import ROOT, end, pytest_of, start

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("hr_machine")]
DEADLINE = 900.0  # seconds; they take 60
#: What no assertion of a foreign datapath rests on, and why.
NOT_JUDGED = {
    "shows_client": "seen only where services are translated",
    "forwards": "which helper sent a packet is not seen from outside: only counters tell",
    "attaches": "another hook than claimed is refused when the description is read",
    "routing": "a tunnel is refused when the description is read",
    "big_tcp": "not claimed: a jumbogram's header is left to the stack, which says too big",
    "policy": "refused when the description is read: an ELF object is told no rules",
    "several_addresses": "not claimed: the pod's address is a constant of its program",
    "limits_errors": "not claimed; the stack limits its errors by itself since 6.13",
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory, hr_machine):
    """Datapath → the assertions that failed; the child's whole output."""
    directory = tmp_path_factory.mktemp("false")
    paths = false_claims.descriptions(directory)
    junit = directory / "junit.xml"
    arguments = pytest_of(
        "-q", "-p", "tests.support.false_claims", "-m", "conformance", f"--junitxml={junit}",
        f"--hr-datapath={','.join(path.stem for path in paths)}",
        *(f"--hr-bring={path}" for path in paths), str(ROOT / "testbeds"), rootdir=directory,
    )  # fmt: skip
    ended = end(start(arguments, {"PYTEST_ADDOPTS": ""}), DEADLINE)
    found = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        properties = {each.get("name"): each.get("value") for each in case.iter("property")}
        if case.find("failure") is not None:
            found.setdefault(properties["datapath"], set()).add(properties.get("assertion"))
    return found, ended.text


def test_every_claim_has_a_fault():
    assert FAULTS.keys() | NOT_JUDGED.keys() == CLAIMS.keys()
    assert not FAULTS.keys() & NOT_JUDGED.keys()
    claimed = (EXAMPLE / "hostpath.toml").read_text(encoding="utf-8")
    assert "limits_errors" not in claimed
    assert "several_addresses" not in claimed


@pytest.mark.parametrize("claim", FAULTS)
def test_a_false_claim_fails_on_its_own_assertion(claim, failed):
    found, text = failed
    assert FAULTS[claim].assertion in found.get(PREFIX + claim, ()), (found, text[-2000:])
