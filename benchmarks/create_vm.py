"""CreateVmInstance on simulated hosts: how long until N VMs asked for at once are all running.

    python -m benchmarks.create_vm --url http://127.0.0.1:8080 --password password --counts 1 10 100 1000

Point it at `make dev HOSTS=50`: one control plane, the real agent application over simulated drivers, one HTTPS
connection pool per host. Client, control plane and agents share this machine. ZStack's published figures (README of
2021: nested real VMs mixed with simulator VMs, 100 client threads, one management node, hardware not stated) are printed
beside ours for orientation; conditions are not equal.
"""

import argparse
import asyncio
import hashlib
import time

import httpx

PUBLISHED = {1: 0.51, 10: 1.55, 100: 11.33, 1_000: 103.0, 10_000: 1_380.0}
CLIENTS = 100  # ZStack's figure was taken with 100 threads too


class Cloud:
    """A thin client of the REST wire: log in, find one of a kind, create a VM and wait for its job."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def log_in(self, password: str) -> None:
        digest = hashlib.sha512(password.encode()).hexdigest()
        body = {"logInByAccount": {"accountName": "admin", "password": digest}}
        answer = (await self.http.put("/v1/accounts/login", json=body)).raise_for_status().json()
        self.http.headers["Authorization"] = f"OAuth {answer['inventory']['uuid']}"

    async def only(self, path: str, **conditions: str) -> str:
        query = [("q", f"{name}={value}") for name, value in conditions.items()]
        answer = (await self.http.get(f"/v1/{path}", params=query)).raise_for_status().json()
        return str(answer["inventories"][0]["uuid"])

    async def job(self, answer: httpx.Response) -> dict[str, object]:
        location = httpx.URL(answer.raise_for_status().json()["location"]).path
        while True:
            state = await self.http.get(location, params={"wait": 25})
            if state.status_code == 200:
                return dict(state.json())
            if state.status_code != 202:
                raise RuntimeError(state.text)

    async def destroy(self, uuid: str) -> None:
        await self.job(await self.http.delete(f"/v1/vm-instances/{uuid}"))
        await self.job(await self.http.put(f"/v1/vm-instances/{uuid}/actions", json={"expungeVmInstance": {}}))


async def run(cloud: Cloud, count: int) -> tuple[float, list[str]]:
    """Seconds until `count` VMs are running, and their uuids."""
    params = {
        "instanceOfferingUuid": await cloud.only("instance-offerings"),
        "imageUuid": await cloud.only("images", mediaType="RootVolumeTemplate"),
        "l3NetworkUuids": [await cloud.only("l3-networks")],
    }
    gate = asyncio.Semaphore(CLIENTS)

    async def create(number: int) -> str:
        async with gate:
            answer = await cloud.http.post("/v1/vm-instances", json={"params": {"name": f"bench-{number}", **params}})
            result = await cloud.job(answer)
        inventory = result["inventory"]
        assert isinstance(inventory, dict) and inventory["state"] == "Running", result
        return str(inventory["uuid"])

    start = time.perf_counter()
    uuids = await asyncio.gather(*(create(number) for number in range(count)))
    return time.perf_counter() - start, list(uuids)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--password", default="password")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 10, 100, 1_000])
    parser.add_argument("--keep", action="store_true", help="do not destroy the VMs afterwards")
    options = parser.parse_args()
    limits = httpx.Limits(max_connections=CLIENTS * 2, max_keepalive_connections=CLIENTS * 2)
    async with httpx.AsyncClient(base_url=options.url, timeout=120, limits=limits) as http:
        cloud = Cloud(http)
        await cloud.log_in(options.password)
        await run(cloud, 1)  # the image reaches its first host
        print(f"{'VMs':>6} {'seconds':>9} {'VMs/s':>8} {'ZStack published':>17} {'ratio':>7}")
        for count in options.counts:
            seconds, uuids = await run(cloud, count)
            published = PUBLISHED.get(count)
            beside = f"{published:>15.2f} s {published / seconds:>6.1f}x" if published else f"{'-':>17} {'-':>7}"
            print(f"{count:>6} {seconds:>9.2f} {count / seconds:>8.1f} {beside}")
            if not options.keep:
                for start in range(0, len(uuids), CLIENTS):
                    await asyncio.gather(*(cloud.destroy(uuid) for uuid in uuids[start : start + CLIENTS]))


if __name__ == "__main__":
    asyncio.run(main())
