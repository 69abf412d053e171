"""Which host, and why not the others."""

import pytest

from controlplane.rules.placement import Candidate, Need, by_preference, explain, refusal

GIB = 1 << 30
RESERVED_MEMORY = GIB // 2
NEED = Need(cpu=2, memory=GIB, disk=GIB, l2_networks=frozenset({"l2"}), reserved_memory=RESERVED_MEMORY)
REACH = {"c": frozenset({"l2"})}
HOST = Candidate(
    host_uuid="h",
    name="host",
    cluster_uuid="c",
    state="Enabled",
    status="Connected",
    cluster_state="Enabled",
    total_memory=8 * GIB,
    available_cpu=2,
    available_memory=GIB + RESERVED_MEMORY,
    storage_uuid="s",
    storage_url="/s",
    storage_usable=True,
    available_disk=GIB,
)


def test_what_just_fits_fits():
    assert refusal(HOST, NEED, REACH["c"]) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "Disconnected"}, "Disconnected"),
        ({"state": "Maintenance"}, "Maintenance"),
        ({"cluster_state": "Disabled"}, "cluster"),
        ({"zone_state": "Disabled"}, "its zone is Disabled"),
        ({"available_cpu": 1}, "CPU"),
        ({"available_memory": GIB + RESERVED_MEMORY - 1}, "memory"),
        ({"available_disk": GIB - 1}, "disk"),
        ({"storage_uuid": None}, "storage"),
        ({"storage_usable": False}, "storage"),
    ],
)
def test_each_lack_is_a_reason(change, said):
    assert said in (refusal(HOST._replace(**change), NEED, REACH["c"]) or "")


def test_a_network_that_is_not_attached_is_a_reason():
    assert "l2" in (refusal(HOST, NEED, frozenset()) or "")


def test_the_least_used_comes_first_and_the_others_are_explained():
    idle = HOST._replace(host_uuid="i", name="idle", available_memory=8 * GIB)
    down = HOST._replace(host_uuid="d", name="down", status="Connecting")
    fit, refused = by_preference([HOST, idle, down], NEED, REACH)
    assert [host.name for host in fit] == ["idle", "host"]
    assert explain(refused) == "host down: it is Connecting"


def test_a_host_with_one_fit_storage_is_not_explained():
    poor = HOST._replace(storage_uuid="t", available_disk=0)
    fit, refused = by_preference([HOST, poor], NEED, REACH)
    assert (len(fit), refused) == (1, {})


def test_nothing_to_choose_from_is_said():
    assert "no host" in explain({})
