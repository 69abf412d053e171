"""How far a guest has come, as its host's services see it; a simulated guest asks for its lease and its metadata once a boot."""


async def test_what_the_host_has_seen_of_a_guest(cloud):
    vm = await cloud.vm()

    async def seen():
        told = await cloud.call("GetVmBootProgress", uuid=vm["uuid"])
        return told["state"], told["dhcpAcks"], told["metadataReads"], told["phoneHomes"]

    assert (await cloud.call("GetVmBootProgress", uuid=vm["uuid"]))["hostUuid"] == vm["hostUuid"]
    first = await seen()
    assert first[0] == "Running" and first[3] == 0
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    assert [now - before for now, before in zip((await seen())[1:3], first[1:3], strict=True)] == [1, 1]
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    assert (await seen())[0] == "Stopped"
