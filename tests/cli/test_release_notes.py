"""The commands of the release notes' "User Data", word for word, by the real program against a real control plane.

Their uuids are those of the notes: the resources were made with them. Only a tag's uuid, which the system chooses, is put in
for the printed one. Simulated hosts serve what a guest would get from the real metadata documents.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import uvicorn
import yaml

from controlplane.api.app import create_app
from controlplane.services.account import ensure_admin
from hostagent.metadata import Directory
from tests.controlplane.cloud import cloud as populated

PASSWORD = "a password of the test"
COMMANDS = dict(
    line.split("\t", 1)
    for line in Path(__file__).with_name("release_notes.txt").read_text().splitlines()
    if "\t" in line
)
VM, OTHER_VM = "303bf80af28c4e23b9b8c20d4267356b", "606d9a2fa723407c93438789eaf72cea"
IMAGE, OFFERING = "d720ff0c60ee48d3a2e6263dd3e12c33", "76789b62aeb542a5b4b8b8488fbaced2"
FIRST_L3, DEFAULT_L3 = "37d3c4a1e2f14a1c8316a23531e62988", "05266285f96245f096f3b7dce671991d"
GROUPS = [{"ubuntu": ["foo", "bar"]}, "cloud-users"]


class Steppe:
    """The command as its own process; `served` is what the guest at its default address reads."""

    def __init__(self, made, server, home):
        self.made, self.server = made, server
        self.environment = os.environ | {"HOME": str(home), "STEPPE_SERVER": server}
        self.environment.pop("STEPPE_CA_FILE", None)

    def shell(self, command):
        """`command` is typed at a shell, as printed."""
        typed = f'"{sys.executable}" -m cli.main {command}'
        done = subprocess.run(["sh", "-c", typed], capture_output=True, text=True, env=self.environment, check=False)
        assert done.returncode == 0, done.stderr
        self.told = done.stderr
        return json.loads(done.stdout)

    def served(self, vm_uuid):
        for sim in self.made.sims.values():
            for guest in Directory(sim.network.snapshot).guests.get(DEFAULT_L3, {}).values():
                if guest.vm_uuid == vm_uuid:
                    return {path: body.decode() for path, body in guest.documents.items()}
        raise AssertionError(f"no host serves VM {vm_uuid}")

    def tags(self, vm_uuid, prefix):
        return self.shell(f"QuerySystemTag resourceUuid={vm_uuid} tag~={prefix}%")["inventories"]


@pytest.fixture(scope="module")
def steppe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloud")
    ready, stop, box = threading.Event(), threading.Event(), []

    async def serve():
        async with populated(folder, hosts=1) as made:
            await furnish(made)
            await made.world.db.write(lambda tx: ensure_admin(tx, PASSWORD))
            app = create_app(made.world, made.engine)
            server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
            running = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            box.extend((made, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"))
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)
            server.should_exit = True
            await running

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    while not ready.wait(0.1):
        assert thread.is_alive()
    program = Steppe(*box, folder)
    (folder / "password").write_text(PASSWORD)
    program.shell(f"LogInByAccount accountName=admin password=@{folder}/password")
    yield program
    stop.set()
    thread.join(10)


async def furnish(made):
    image = await made.get("ImageVO", made.image)

    def copy(tx):
        from controlplane.store import rows

        rows.insert(tx, "ImageVO", **(image | {"uuid": IMAGE}))

    await made.world.db.write(copy)
    await made.call("CreateInstanceOffering", name="o", cpuNum=1, memorySize=1 << 28, resourceUuid=OFFERING)
    for uuid, cidr in ((FIRST_L3, "10.1.0.0/24"), (DEFAULT_L3, "10.2.0.0/24")):
        await made.call("CreateL3Network", name="l3", l2NetworkUuid=made.l2, resourceUuid=uuid)
        await made.call("AddIpRangeByNetworkCidr", name="r", l3NetworkUuid=uuid, networkCidr=cidr)
        services = {made.flat: ["DHCP", "Userdata"]}
        await made.call("AttachNetworkServiceToL3Network", l3NetworkUuid=uuid, networkServices=services)
    for uuid in (VM, OTHER_VM):
        await made.vm(l3NetworkUuids=[DEFAULT_L3], resourceUuid=uuid, instanceOfferingUuid=OFFERING)


def typed_tag(command):
    """The tag as it stands between the quotes."""
    quote = command[-1]
    return command[:-1].rpartition(f"={quote}")[2]


def test_create_with_user_data(steppe):
    made = steppe.shell(COMMANDS["create with user data"])
    vm, warned = made["inventory"], steppe.told
    (tag,) = steppe.tags(vm["uuid"], "userdata")
    assert tag["tag"] == typed_tag(COMMANDS["create with user data"])
    assert (vm["defaultL3NetworkUuid"], len(vm["vmNics"])) == (DEFAULT_L3, 2)
    must_be_the_notes_document(steppe.served(vm["uuid"])["/latest/user-data"])
    assert "warning: user data, line 10, column 5: " in warned
    assert any("primary-group is an old spelling" in warning["details"] for warning in made["warnings"])


def must_be_the_notes_document(user_data):
    assert user_data.startswith("#cloud-config\ngroups:\n")
    config = yaml.safe_load(user_data)
    assert config["groups"] == GROUPS
    assert [user if isinstance(user, str) else user["name"] for user in config["users"]] == [
        "default", "foobar", "barfoo", "cloudy",
    ]  # fmt: skip
    assert config["users"][2]["ssh-authorized-keys"] == ["<ssh pub key 1>", "<ssh pub key 2>"]


def test_the_life_of_user_data(steppe):
    created = steppe.shell(COMMANDS["add user data"])["inventory"]
    assert created["resourceUuid"] == VM
    (found,) = steppe.shell(COMMANDS["get user data"])["inventories"]
    assert found == created
    assert found["tag"] == typed_tag(COMMANDS["add user data"])
    must_be_the_notes_document(steppe.served(VM)["/latest/user-data"])

    steppe.shell(f"UpdateSystemTag uuid={found['uuid']} tag='userdata::#!/bin/sh\\necho hello'")
    assert steppe.served(VM)["/latest/user-data"] == "#!/bin/sh\necho hello"
    updated = steppe.shell(with_uuid(COMMANDS["update user data"], found["uuid"]))["inventory"]
    assert (updated["uuid"], updated["tag"]) == (found["uuid"], typed_tag(COMMANDS["update user data"]))
    must_be_the_notes_document(steppe.served(VM)["/latest/user-data"])

    assert steppe.shell(with_uuid(COMMANDS["remove user data"], found["uuid"])) == {"success": True}
    assert steppe.shell(COMMANDS["get user data"])["inventories"] == []
    assert "/latest/user-data" not in steppe.served(VM)


def with_uuid(command, uuid):
    words = command.split(" ", 2)
    assert words[1].startswith("uuid=")
    return " ".join([words[0], f"uuid={uuid}", *words[2:]])


def test_create_with_a_key(steppe):
    vm = steppe.shell(COMMANDS["create with key"])["inventory"]
    (tag,) = steppe.tags(vm["uuid"], "sshkey")
    assert tag["tag"] == typed_tag(COMMANDS["create with key"])
    served = steppe.served(vm["uuid"])
    assert served["/latest/meta-data/public-keys"] == tag["tag"].removeprefix("sshkey::")
    assert yaml.safe_load(served["/latest/user-data"])["ssh_authorized_keys"] == [tag["tag"].removeprefix("sshkey::")]


def test_the_life_of_a_key(steppe):
    created = steppe.shell(COMMANDS["add key"])["inventory"]
    (found,) = steppe.tags(OTHER_VM, "sshkey")
    assert found == created
    assert found["tag"] == typed_tag(COMMANDS["add key"])
    key = found["tag"].removeprefix("sshkey::")
    assert steppe.served(OTHER_VM)["/latest/meta-data/public-keys"] == key
    assert steppe.shell(COMMANDS["get key"])["inventories"] == [], "that is the other VM"

    updated = steppe.shell(with_uuid(COMMANDS["update key"], found["uuid"]))["inventory"]
    assert updated["tag"] == typed_tag(COMMANDS["update key"]) != found["tag"], "as typed, with the blanks of the page"
    assert steppe.served(OTHER_VM)["/latest/meta-data/public-keys"] == key, "served in one piece, it is the same key"

    assert steppe.shell(with_uuid(COMMANDS["remove key"], found["uuid"])) == {"success": True}
    assert steppe.tags(OTHER_VM, "sshkey") == []
    assert "/latest/meta-data/public-keys" not in steppe.served(OTHER_VM)


def test_a_client_that_splits_at_every_comma(steppe):
    """What the original command line sends: each piece is an element of `systemTags`."""
    tag = typed_tag(COMMANDS["create with user data"])
    assert tag.count(",") == 2
    body = {
        "params": {
            "name": "vm", "imageUuid": IMAGE, "instanceOfferingUuid": OFFERING, "defaultL3NetworkUuid": DEFAULT_L3,
            "l3NetworkUuids": [FIRST_L3, DEFAULT_L3],
        },
        "systemTags": [*tag.split(","), "hostname::split"],
    }  # fmt: skip
    session = json.loads((Path(steppe.environment["HOME"]) / ".steppe/session").read_text())[steppe.server]
    headers = {"Authorization": f"OAuth {session}", "Content-Type": "application/json"}

    def send(method, url, data=None):
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())

    status, answer = send("POST", f"{steppe.server}/v1/vm-instances", json.dumps(body).encode())
    location = answer["location"]
    while status == 202:
        time.sleep(0.05)
        status, answer = send("GET", location)
    uuid = answer["inventory"]["uuid"]
    assert [one["tag"] for one in steppe.tags(uuid, "userdata")] == [tag]
    must_be_the_notes_document(steppe.served(uuid)["/latest/user-data"])
    assert steppe.served(uuid)["/latest/meta-data/local-hostname"] == "split"
