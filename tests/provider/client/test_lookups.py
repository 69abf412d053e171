"""Gathered reads: how many requests they make, and that no answer is older than the last change."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest

from provider.client.errors import Unreachable
from provider.client.lookups import EAGER, MOST, Kind, Lookups

VMS = Kind("vms")
TAGS = Kind("tags", "resourceUuid")


def uuid(number: int) -> str:
    return f"{number:032x}"


class Shop:
    """A control plane of `count` VMs with two tags each; `gate` holds requests back while it is closed."""

    def __init__(self, count: int) -> None:
        self.names = {uuid(number): "old" for number in range(count)}
        self.requests: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.lookups = Lookups(self.get)

    def get(self, path: str) -> dict:
        self.requests.append(path)
        assert self.gate.wait(30)
        parts = urlsplit(path)
        collection, _, one = parts.path.strip("/").partition("/")
        asked = parse_qs(parts.query)
        named = [one] if one else [q.split("=", 1)[1] for q in asked.get("q", ())]
        wanted = named[0].split(",") if named else list(self.names)
        there = [one for one in wanted if one in self.names]
        if collection == "vms":
            found = [{"uuid": one, "name": self.names[one]} for one in there]
        else:
            found = [{"resourceUuid": one, "tag": tag} for one in there for tag in ("a", self.names[one])]
        limit = int(asked.get("limit", ["1000"])[0])
        return {"inventories": found[:limit], "total": len(found)}

    def refresh(self, numbers: range) -> list:
        """As Terraform does it: ten at once."""

        def read(number: int) -> tuple:
            return self.lookups.find(VMS, uuid(number)), self.lookups.find(TAGS, uuid(number))

        with ThreadPoolExecutor(10) as pool:
            return list(pool.map(read, numbers))


def test_a_thousand_reads_take_a_handful_of_requests():
    shop = Shop(1000)
    read = shop.refresh(range(1000))
    assert [vm["uuid"] for (vm,), _ in read] == [uuid(number) for number in range(1000)]
    assert all([tag["tag"] for tag in tags] == ["a", "old"] for _, tags in read)
    most = Counter(path.partition("?")[0].split("/")[1] for path in shop.requests)
    # At the worst each read is alone until all is fetched: of the VMs after 4, of their 2,000 tags after 8.
    assert most["vms"] <= EAGER + 1 and most["tags"] <= 2 * EAGER + 2, shop.requests


def test_a_few_reads_of_a_large_cloud_do_not_fetch_all_of_it():
    shop = Shop(MOST + 1)
    assert len(shop.refresh(range(30))) == 30
    assert not any(f"limit={MOST}&" in path for path in shop.requests)


def test_what_is_asked_for_meanwhile_shares_the_next_request():
    shop = Shop(5)
    shop.gate.clear()
    with ThreadPoolExecutor(5) as pool:
        found = [pool.submit(shop.lookups.find, VMS, uuid(number)) for number in range(5)]
        desk = shop.lookups._desks
        while VMS not in desk or len(desk[VMS].asked) < 5 or not shop.requests:
            pass
        shop.gate.set()
        assert [one.result()[0]["uuid"] for one in found] == [uuid(number) for number in range(5)]
    assert len(shop.requests) == 2, shop.requests


def test_a_read_after_a_change_is_fresh():
    shop = Shop(100)
    shop.refresh(range(100))
    assert shop.lookups.find(VMS, uuid(7))[0]["name"] == "old"
    with shop.lookups.changing():
        shop.names[uuid(7)] = "new"
        assert shop.lookups.find(VMS, uuid(7))[0]["name"] == "new"
    del shop.names[uuid(8)]  # within the same process nothing is kept any more
    assert shop.lookups.find(VMS, uuid(8)) == []
    before = len(shop.requests)
    shop.refresh(range(100))
    assert not any("replyWithCount" in path for path in shop.requests[before:])


def test_what_is_foreseen_is_fetched_together_and_forgotten_by_a_change():
    shop = Shop(150)
    with shop.lookups.changing():
        pass
    shop.lookups.foresee(TAGS, [uuid(number) for number in range(150)])
    assert [len(shop.lookups.find(TAGS, uuid(number))) for number in range(150)] == [2] * 150
    assert len(shop.requests) == 2
    with shop.lookups.changing():
        shop.names[uuid(0)] = "new"
    assert shop.lookups.find(TAGS, uuid(0))[1]["tag"] == "new"


def test_everybody_who_waits_hears_of_a_failure_and_the_next_read_tries_again():
    shop = Shop(1)
    broken = [True]
    answer = shop.get

    def get(path: str) -> dict:
        if broken[0]:
            raise Unreachable("down")
        return answer(path)

    lookups = Lookups(get)
    for _ in range(2):
        with pytest.raises(Unreachable):
            lookups.find(VMS, uuid(0))
    broken[0] = False
    assert lookups.find(VMS, uuid(0))[0]["name"] == "old"
