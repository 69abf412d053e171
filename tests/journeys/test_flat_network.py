"""The demo's proof as a test: terraform apply on two real KVM hosts, guests proven, a second plan empty, nothing left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import build_provider
from tools.demo.guest import DEBIAN, TINY, Guest
from tools.demo.journey import Journey

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.terraform, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    assert build_provider.main() == 0


@pytest.fixture(params=[TINY, DEBIAN], ids=lambda guest: guest.name)
def journey(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journey]:
    guest: Guest = request.param
    journey = Journey(guest, tmp_path, show=print)
    yield journey
    journey.close()


def test_apply_prove_destroy(journey: Journey) -> None:
    journey.apply()
    for proven in journey.prove():
        print(proven)
    print(journey.destroy())
