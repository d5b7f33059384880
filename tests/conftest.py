# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several files of tests share."""

import pytest

from harness.kernels.store import Store
from tests.support.another import Another
from tests.support.results_desk import Desk


@pytest.fixture
def desk(tmp_path, capsys):
    return Desk(tmp_path, capsys)


@pytest.fixture
def put(desk):
    return desk.put


@pytest.fixture
def results(desk):
    return desk.results


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "kernels")


@pytest.fixture
def another(monkeypatch):
    return Another(monkeypatch)
