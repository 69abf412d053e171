"""The demo's proof as a test: terraform apply on two real KVM hosts, guests proven, a second plan empty, nothing left.

The small guests are waited for: when the apply ends, they have read their metadata.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tools import build_provider
from tools.demo.guest import DEBIAN, TINY, Guest
from tools.demo.journey import Journey

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.terraform, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    assert build_provider.main() == 0


_TEXT = "  user_data = <<-SCRIPT\n"
WAITED_FOR = replace(
    TINY, overrides=TINY.overrides.replace(_TEXT, f'  wait_for = "metadata"\n  wait_timeout = "6m"\n{_TEXT}')
)


@pytest.fixture(params=[WAITED_FOR, DEBIAN], ids=lambda guest: guest.name)
def journey(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journey]:
    guest: Guest = request.param
    journey = Journey(guest, tmp_path, show=print)
    yield journey
    journey.close()


def test_apply_prove_destroy(journey: Journey) -> None:
    journey.apply()
    if journey.guest is WAITED_FOR:
        api = journey.cloud.api
        seen = [api.get(f"/vm-instances/{vm['uuid']}/boot-progress") for vm in api.query("vm-instances")]
        assert len(seen) > 1 and all(one["dhcpAcks"] and one["metadataReads"] for one in seen), seen
    for proven in journey.prove():
        print(proven)
    print(journey.destroy())
