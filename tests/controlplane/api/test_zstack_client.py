"""The public client package `zstack-mcp-server`, unmodified, against a control plane that serves HTTP on loopback.

Its documentation says which APIs it knows and how each is called; every one of them that there is here is run.
"""

import asyncio
import json
from importlib.resources import files

import pytest
import uvicorn
from zstack_mcp.zstack_client import ZStackApiError, ZStackClient

from controlplane.api.app import create_app
from controlplane.contract.registry import apis
from controlplane.main import import_all
from controlplane.services.account import ensure_admin
from tests.controlplane.cloud import cloud
from tests.controlplane.populated import furnish
from tests.controlplane.test_workflow_laws import TABLE, _filled

import_all()
PASSWORD = "correct horse"
KNOWN = json.loads(files("zstack_mcp").joinpath("data/api_docs.json").read_text())
# Changes of volumes need each other's order; they have tests of their own.
APART = ("controlplane.contract.volume", "controlplane.contract.snapshot", "controlplane.contract.migration")
OURS = [
    name
    for name, api in apis.items()
    if name in KNOWN and not (api.kind == "change" and (api.__module__ in APART or "TemplateFrom" in name))
]
# In this order, so that nothing is gone before it is used; what is not named here comes with the updates.
ORDER = (
    "Create",
    "Add",
    "Share",
    "Start",
    "Update",
    "Reboot",
    "Detach",
    "Remove",
    "Revoke",
    "Stop",
    "Recover",
    "Destroy",
)
LAST = ("Delete", "Expunge", "Query", "Get", "Validate", "LogOut")
# Where the cases of the workflows would meet each other.
OTHERWISE = {
    "CreateVmInstance": {"hostUuid": "<full>"},
    "AddIpRangeByNetworkCidr": {"l3NetworkUuid": "<rangeless>"},
    "DetachPrimaryStorageFromCluster": {"clusterUuid": "<bare cluster>", "primaryStorageUuid": "<storage2>"},
    "DestroyVmInstance": {"uuid": "<running>"},
    "ExpungeVmInstance": {"uuid": "<running>"},
    "ExpungeImage": {"imageUuid": "<image2>"},
    "ChangeVolumeState": {"stateEvent": "enable"},
    "ChangeHostState": {"stateEvent": "enable"},
    "ChangePrimaryStorageState": {"stateEvent": "enable"},
}
READS = {
    "GetAccountQuotaUsage": {"uuid": "<tenant>"},
    "GetBackupStorageCapacity": {"all": True},
    "GetCpuMemoryCapacity": {"all": True},
    "GetCandidateIsoForAttachingVm": {"vmInstanceUuid": "<stopped>"},
    "GetDataVolumeAttachableVm": {"volumeUuid": "<unplaced>"},
    "GetFreeIp": {"l3NetworkUuid": "<l3>"},
    "GetHypervisorTypes": {},
    "GetIpAddressCapacity": {"all": True},
    "GetL2NetworkTypes": {},
    "GetL3NetworkDhcpIpAddress": {"l3NetworkUuid": "<l3>"},
    "GetLocalStorageHostDiskCapacity": {"primaryStorageUuid": "<storage>"},
    "GetPrimaryStorageCapacity": {"all": True},
    "GetVmAttachableDataVolume": {"vmInstanceUuid": "<started>"},
    "GetVmBootOrder": {"uuid": "<started>"},
    "GetVmConsoleAddress": {"uuid": "<started>"},
    "GetVmConsolePassword": {"uuid": "<started>"},
    "GetVmMigrationCandidateHosts": {"vmInstanceUuid": "<loaded>"},
    "LocalStorageGetVolumeMigratableHosts": {"volumeUuid": "<data>"},
    "RequestConsoleAccess": {"vmInstanceUuid": "<started>"},
}
MORE = {  # what has no workflow, hence no case
    "CreateAccessKey": {"accountUuid": "<tenant>", "userUuid": "<tenant>"},
    "ValidateSession": {"sessionUuid": "<session>"},
    "LogOut": {"sessionUuid": "<session>"},
}


@pytest.fixture
async def served(tmp_path):
    """A furnished cloud, the names of what is in it, and a client."""
    (tmp_path / "import").mkdir()
    (tmp_path / "import" / "disk.raw").write_bytes(b"\0" * 1024**2)
    async with cloud(tmp_path, hosts=2, spare=1) as made:
        await made.world.db.write(lambda tx: ensure_admin(tx, PASSWORD))
        names = await furnish(made)
        app = create_app(made.world, made.engine)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        client = ZStackClient(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", "admin", PASSWORD)
        client.JOB_POLL_INTERVAL = 0.05
        try:
            yield made, names, client
        finally:
            await client.close()
            server.should_exit = True
            await running


def _rank(name):
    for group, start in ((ORDER, 0), (LAST, 100)):
        for number, verb in enumerate(group):
            if name.startswith(verb):
                return start + number
    return ORDER.index("Update")


def _parameters(name):
    if name in READS or name in MORE:
        return READS.get(name, MORE.get(name))
    if name.startswith("Query"):
        return {"conditions": [], "limit": 2, "replyWithCount": True}
    found = dict(next(parameters for api, parameters in TABLE if api == name))
    found.pop("resourceUuid", None)
    return found | OTHERWISE.get(name, {})


async def test_every_api_that_it_knows_runs_and_is_read(served):
    made, names, client = served
    session = await client.login()
    assert session.account_uuid == "36c27e8ff05c4780bf6d2fa65700f22e"
    rangeless = await made.call("CreateL3Network", name="rangeless", l2NetworkUuid=made.l2)
    names |= {"session": session.uuid, "started": names["stopped"], "rangeless": rangeless["uuid"]}
    assert len(OURS) > 80
    for name in sorted(OURS, key=_rank):
        documented = KNOWN[name]
        answer = await _execute(client, name, _filled(_parameters(name), names))
        assert answer["success"] is True, name
        if name.startswith("Query"):
            assert len(answer["inventories"]) == min(answer["total"], 2), name
        assert documented["apiName"] == apis[name].message_name()
        assert documented["responseName"] == apis[name].answer_name().rpartition(".")[2]


async def _execute(client, name, parameters):
    try:
        return await client.execute(name, KNOWN[name]["apiName"], parameters)
    except ZStackApiError as error:
        raise AssertionError(f"{name} {parameters}: {error} {error.details}") from error


async def test_errors_reach_it_with_their_code(served):
    _, names, client = served
    for parameters, code in (({"uuid": "0" * 32}, "SYS.1003"), ({"uuid": names["destroyed"]}, "VM.1001")):
        with pytest.raises(ZStackApiError) as failure:
            await client.execute("StartVmInstance", "org.zstack.header.vm.APIStartVmInstanceMsg", parameters)
        assert failure.value.code == code
    with pytest.raises(ZStackApiError) as failure:
        await ZStackClient(client.api_url, "admin", "wrong").login()
    assert failure.value.code == "ID.1000"


async def test_it_logs_in_anew_when_its_session_has_ended(served):
    _, _, client = served
    first = (await client.login()).uuid
    await client.execute("LogOut", "org.zstack.header.identity.APILogOutMsg", {"sessionUuid": first})
    answer = await client.execute("QueryZone", "org.zstack.header.zone.APIQueryZoneMsg", {"conditions": []})
    assert len(answer["inventories"]) == 2
    assert client.session.uuid != first


def test_the_answers_of_the_reference_are_named_as_there():
    """Those that the package does not document."""
    names = {
        "LogInByAccount": "org.zstack.header.identity.APILogInReply",
        "AddKVMHost": "org.zstack.kvm.APIAddHostEvent",
        "AddLocalPrimaryStorage": "org.zstack.storage.primary.local.APIAddPrimaryStorageEvent",
        "AddSftpBackupStorage": "org.zstack.storage.backup.sftp.APIAddSftpBackupStorageEvent",
        "AddImage": "org.zstack.header.image.APIAddImageEvent",
    }
    assert {name: apis[name].answer_name() for name in names} == names
