"""The global configuration: what is declared is documented and checked, and each entry does what it says."""

from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.contract.error import ApiError
from controlplane.reconcilers.expunge import Expunger
from controlplane.rules import global_config as rules
from controlplane.store import rows
from controlplane.store.tables import now
from controlplane.workflows import global_config
from tools.build_config_docs import PAGE, page

ROOT = Path(__file__).resolve().parents[2]


async def set_config(cloud, name, value):
    category, _, rest = name.partition("/")
    return await cloud.call("UpdateGlobalConfig", category=category, name=rest, value=value)


def test_the_page_is_that_of_the_declarations():
    assert PAGE.read_text() == page(), "run tools/build_config_docs.py"


def test_every_default_is_a_good_value_and_every_entry_is_described():
    for entry in rules.ENTRIES:
        assert rules.check(entry, entry.default) == entry.default
        assert entry.description.endswith("."), entry.title


def test_every_entry_is_read_somewhere():
    """An entry that nothing reads would be a lie."""
    files = [file for file in (ROOT / "controlplane").rglob("*.py") if file.name != "global_config.py"]
    text = "\n".join(file.read_text() for file in files)
    for entry in rules.ENTRIES:
        assert f'"{entry.name}"' in text, entry.title


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("1g", 1 << 30), ("2T", 2 << 40), ("4096", 4096), ("8K", 8192)]
)
def test_sizes_have_units(text, size):
    assert rules.size(text) == size


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("kvm/vm.cpuMode", "host", "one of none, host-model, host-passthrough"),
        ("kvm/vm.cpuMode", "", "no value"),
        ("kvm/vm.cpuMode", None, "one of none"),
        ("kvm/vm.consoleMode", "VNC", "one of vnc, spice, vncAndSpice"),
        ("kvm/reservedMemory", "1025G", "at most 1T"),
        ("kvm/reservedMemory", "2T", "at most 1T"),
        ("kvm/reservedMemory", "-1G", "K, M, G or T"),
        ("kvm/reservedMemory", "lots", "K, M, G or T"),
        ("vm/expungePeriod", "1.5", "a whole number of seconds from 1"),
        ("vm/expungePeriod", "0", "from 1"),
        ("vm/expungePeriod", "٣", "whole number"),
        ("vm/dataVolume.deleteOnVmDestroy", "yes", "one of true, false"),
        ("identity/session.maxConcurrent", "100001", "from 1 to 100000"),
        ("kvm/vm.cpumode", "none", "kvm has vm.cpuMode, vm.consoleMode"),
        ("vmm/x", "1", "the categories are kvm, vm"),
    ],
)
async def test_what_is_not_allowed_is_refused_and_nothing_changes(cloud, name, value, said):
    before = await cloud.call("QueryGlobalConfig")
    with pytest.raises(ApiError) as refused:
        await set_config(cloud, name, value)
    assert refused.value.error.code == "SYS.1007"
    assert said in refused.value.error.details
    assert await cloud.call("QueryGlobalConfig") == before


async def test_seeded_changed_queried_and_reset(cloud):
    await cloud.world.db.write(global_config.seed)
    everything = await cloud.call("QueryGlobalConfig")
    assert len(everything) == len(rules.ENTRIES)
    assert all(one["value"] == one["defaultValue"] for one in everything)
    changed = await set_config(cloud, "kvm/vm.cpuMode", "host-model")
    assert (changed["value"], changed["defaultValue"]) == ("host-model", "none")
    await set_config(cloud, "kvm/vm.cpuMode", "host-model")  # the same again is a success
    assert await cloud.call("GetGlobalConfig", category="kvm", name="vm.cpuMode") == changed
    await cloud.world.db.write(global_config.seed)  # a restart keeps what was chosen
    mode = [{"name": "name", "op": "=", "value": "vm.cpuMode"}]
    assert await cloud.call("QueryGlobalConfig", conditions=mode) == [changed]
    await set_config(cloud, "vm/expungePeriod", 60)  # a number is as good as its text
    [back] = await cloud.call("ResetGlobalConfig", category="kvm", name="vm.cpuMode")
    assert back["value"] == "none"
    assert len(await cloud.call("ResetGlobalConfig", category="vm")) > 1
    assert len(await cloud.call("ResetGlobalConfig")) == len(rules.ENTRIES)
    assert all(one["value"] == one["defaultValue"] for one in await cloud.call("QueryGlobalConfig"))
    with pytest.raises(ApiError, match="category"):
        await cloud.call("ResetGlobalConfig", name="vm.cpuMode")


async def test_a_new_default_reaches_who_chose_nothing(cloud):
    await cloud.world.db.write(global_config.seed)

    def age(tx):
        old = {"default_value": "1", "value": "1"}
        rows.update_where(tx, "GlobalConfigVO", {"name": "ping.grace"}, **old)
        rows.update_where(tx, "GlobalConfigVO", {"name": "ping.interval"}, **old | {"value": "2"})

    await cloud.world.db.write(age)
    await cloud.world.db.write(global_config.seed)
    values = {row["name"]: row["value"] for row in await cloud.find("GlobalConfigVO", category="host")}
    assert (values["ping.grace"], values["ping.interval"]) == ("10", "2")


# -- each entry does what it says --------------------------------------------------------------------------------------


async def test_modes_reach_the_host_at_the_next_start(cloud):
    vm = await cloud.vm()
    domain = cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]]
    await set_config(cloud, "kvm/vm.cpuMode", "host-model")
    await set_config(cloud, "kvm/vm.consoleMode", "spice")
    assert (domain.running.cpu_mode, domain.running.console_mode) == ("none", "vnc")
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    assert (domain.running.cpu_mode, domain.running.console_mode) == ("host-model", "spice")


async def test_memory_that_is_reserved_is_given_to_no_vm(cloud):
    await set_config(cloud, "kvm/reservedMemory", "1T")
    with pytest.raises(ApiError, match="MiB of memory are needed, 0 are free"):
        await cloud.vm()
    await set_config(cloud, "kvm/reservedMemory", "0")
    await cloud.vm()


async def test_direct_deletes_a_destroyed_vm_at_once(cloud):
    await set_config(cloud, "vm/deletionPolicy", "Direct")
    vm = await cloud.vm()
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    assert await cloud.get("VmInstanceVO", vm["uuid"]) is None


async def test_data_volumes_go_with_the_vm_when_told_so(cloud):
    vm = await cloud.vm(dataDiskOfferingUuids=[cloud.disk])
    await set_config(cloud, "vm/dataVolume.deleteOnVmDestroy", "true")
    await set_config(cloud, "vm/deletionPolicy", "Direct")
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    assert await cloud.find("VolumeVO") == []


async def _image(cloud):
    folder = cloud.world.settings.state_dir / "import"
    folder.mkdir(exist_ok=True)
    (folder / "disk.raw").write_bytes(b"\0" * 512)
    store = await cloud.call("AddImageStoreBackupStorage", name="store", url="store")
    image = await cloud.call(
        "AddImage", name="i", url=f"file://{folder}/disk.raw", format="raw", backupStorageUuids=[store["uuid"]]
    )
    return image["uuid"], folder.parent / "images" / "store" / image["uuid"]


async def test_direct_deletes_an_image_at_once(cloud):
    uuid, files = await _image(cloud)
    await set_config(cloud, "image/deletionPolicy", "Direct")
    assert files.exists()
    await cloud.call("DeleteImage", uuid=uuid)
    assert await cloud.get("ImageVO", uuid) is None
    assert not files.exists()


@pytest.mark.parametrize(
    ("policy", "period", "stays"), [("Delay", 60, False), ("Delay", 3600, True), ("Never", 60, True)]
)
async def test_a_deleted_image_goes_when_its_time_has_come(cloud, policy, period, stays):
    uuid, files = await _image(cloud)
    await set_config(cloud, "image/deletionPolicy", policy)
    await set_config(cloud, "image/expungePeriod", period)
    await set_config(cloud, "vm/expungeInterval", 7)
    await cloud.call("DeleteImage", uuid=uuid)
    ago = now() - timedelta(seconds=61)
    await cloud.world.db.write(lambda tx: rows.update(tx, "ImageVO", uuid, deleted_at=ago))
    expunger = Expunger(cloud.world, cloud.engine)
    assert await expunger.once() == 7
    assert await expunger.once() == 7  # again is the same operation
    assert files.exists() or not stays
    if not stays:
        for status in [await cloud.engine.wait(op, 10) for op in await _operations(cloud, "ExpungeImage")]:
            assert status.state == "done"
        assert not files.exists()
    assert (await cloud.get("ImageVO", uuid) is not None) == stays


async def _operations(cloud, name):
    return [row["uuid"] for row in await cloud.find("OperationVO", name=name)]
