# SPDX-License-Identifier: Apache-2.0
"""The table of features: since when, how probed, whom it excuses."""

import pytest

from harness.cli import kernels_guests as cli
from harness.datapath import features
from harness.datapath.features import FEATURES
from harness.datapath.probes import Probe
from harness.plumbing.errors import (
    UnknownNameError,
)


def test_the_table_of_features_says_since_when_and_how():
    for name, feature in FEATURES.items():
        assert name == feature.name
        assert feature.kind in ("helper", "flag", "hook", "device")
        assert feature.first >= (4, 0)
        assert feature.how


def test_only_an_older_kernel_excuses():
    tcx = features.find("tcx")
    assert tcx.excused((6, 5))
    assert not tcx.excused((6, 6))
    assert not tcx.excused((7, 0))
    assert features.find("fib-mark").excused((6, 9))  # 6.10 is a later release than 6.9
    with pytest.raises(UnknownNameError, match=r"feature 'tcy' is unknown: use redirect_peer"):
        features.find("tcy")


def test_a_device_is_an_option_but_where_a_guest_must_have_it(monkeypatch):
    netkit = features.find("netkit")
    monkeypatch.delenv(features.OWED, raising=False)
    assert netkit.excused((6, 18))
    monkeypatch.setenv(features.OWED, "vxlan netkit")
    assert not netkit.excused((6, 18))
    assert netkit.excused((6, 6))  # too old, whatever is asked of it
    assert netkit.origin == "since 6.7, CONFIG_NETKIT"


def test_a_release_in_numbers():
    assert features.release("6.12.117+deb13-amd64") == (6, 12)
    assert features.release("5.10") == (5, 10)


def test_a_refused_probe_is_an_answer(monkeypatch):
    features.probe.cache_clear()

    def refuse():
        raise OSError(22, "Invalid argument", "0: (85) call\nunknown func#155\n")

    feature = features.FEATURES["redirect_peer"]
    monkeypatch.setitem(
        features.FEATURES, "redirect_peer",
        features.Feature(feature.name, feature.kind, feature.since, feature.how, refuse),
    )  # fmt: skip
    assert features.probe("redirect_peer") == Probe(False, "unknown func#155")
    features.probe.cache_clear()


def test_features_as_a_table(capsys):
    yes, no = Probe(True, ""), Probe(False, "")
    answers = dict.fromkeys(FEATURES, yes) | {"netkit": no, "tcx": no}
    cli._print_features({"6.1.192": answers, "6.12.9": answers, "7.3.4": {}})
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["feature"][-3:] == ["6.1.192", "6.12.9", "7.3.4"]
    assert lines["netkit"] == ["device", "6.7", "-", "MISSING", "?"]
    assert lines["clsact"] == ["hook", "4.5", "yes", "yes", "?"]


def test_a_kernel_that_cannot_be_had_leaves_the_others_their_features(capsys):
    yes = dict.fromkeys(FEATURES, Probe(True, ""))
    cli._print_features({"6.12.9": yes, "./nope": {}, "vng:foo": {}, "99": {}})
    assert capsys.readouterr().out.splitlines()[1].split()[-4:] == ["yes", "?", "?", "?"]
