# SPDX-License-Identifier: Apache-2.0
"""Where a record comes from: the machine."""

import pytest

from harness.record import environment
from harness.record.environment import machine_facts


def test_the_machine_is_told_apart_and_not_named(tmp_path, monkeypatch):
    identity = tmp_path / "machine-id"
    monkeypatch.setattr(environment, "_MACHINE_ID", str(identity))
    assert machine_facts()["machine_id_hash"] == ""
    hashes = []
    for text in ("a" * 32, "b" * 32, "a" * 32):
        identity.write_text(f"{text}\n")
        hashes.append(machine_facts()["machine_id_hash"])
        assert text not in str(machine_facts())
    assert len(hashes[0]) == 16
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize(("said", "kept"), [("kvm", "kvm"), ("emulation", "emulation"), ("x", "")])
def test_a_machine_of_our_own_says_what_runs_it(monkeypatch, said, kept):
    monkeypatch.setenv(environment.ACCELERATOR_VARIABLE, said)
    assert machine_facts()["accelerator"] == kept


def test_the_boot_is_this_one():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        assert machine_facts()["boot_id"] == file.read().strip()
