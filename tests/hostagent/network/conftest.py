"""Hosts for the tests of this folder; a lab is shared by the tests of a module and ends with it."""

from collections.abc import Iterator

import pytest

from tests.hostagent.network.lab import Lab, lab


@pytest.fixture(scope="module")
def shared_lab() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture
def fresh_lab() -> Iterator[Lab]:
    with lab() as made:
        yield made
