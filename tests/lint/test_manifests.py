# SPDX-License-Identifier: Apache-2.0
"""The DaemonSet to copy is one that Kubernetes takes, and a mistyped one is not."""

from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.lint
MANIFEST = Path(__file__).parents[2] / "examples" / "inspect" / "daemonset.yml"
#: An old one, and the newest that the validator has.
VERSIONS = ("1.28", "")


def faults(text, version):
    """What is wrong with a manifest."""
    yaml, validator = map(import_module, ("yaml", "kubernetes_validate"))
    try:
        validator.validate(yaml.safe_load(text), version or validator.latest_version(), True)
    except validator.ValidationError as error:
        return error.message
    return ""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_daemonset_is_valid(version):
    assert faults(MANIFEST.read_text(encoding="utf-8"), version) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("hostPID: true", "hostPid: true"), ("operator: Exists", "operator: [Exists]")],
)
def test_a_wrong_one_is_found(right, wrong):
    text = MANIFEST.read_text(encoding="utf-8")
    assert right in text
    assert faults(text.replace(right, wrong), "1.28")
