"""Write docs/terraform-coverage.md: where in Terraform each API of the control plane is found.

Found by itself: an API that a module of the provider names in its source, and a query of a collection that a data source
reads. What is left has a word in `ELSEWHERE`; an API with neither makes this fail, and a test with it.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from controlplane.contract.base import Api, Query
from controlplane.contract.registry import apis
from controlplane.main import import_all
from provider.data_sources.query import COLLECTIONS
from provider.main import Steppe

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "terraform-coverage.md"
HEAD = """# APIs and Terraform

Where in Terraform each API of the control plane is found. Made from the contract and the provider's source by
`python -m tools.build_api_table`; an API without a row is an error. What is not in Terraform is done by HTTP or with `steppe`.

| API | in Terraform |
|---|---|
"""
# What the provider offers, by the attribute that lists it.
KINDS = {
    "resources": "resource",
    "data_sources": "data source",
    "ephemeral_resources": "ephemeral resource",
    "list_resources": "list resource",
    "actions": "action",
}
# place → APIs that nothing names in the provider's source
ELSEWHERE = {
    "the provider's own session": "LogInByAccount LogOut ValidateSession",
    "attribute `service_ip` of `steppe_network`": "GetL3NetworkDhcpIpAddress",
    "resource `steppe_network`, as `cidr`": "AddIpRangeByNetworkCidr",
    "resource `steppe_network`, as another range": "UpdateIpRange",
    "resource `steppe_host`": "UpdateKVMHost",
    "the plan of a new `steppe_host`": "GetEnrolledHostAgents",
    "data source `steppe_l2_networks`": "QueryL2VlanNetwork",
    "data source `steppe_volume_migratable_hosts`": "LocalStorageGetVolumeMigratableHosts",
    "data source `steppe_image_stores`": "QuerySftpBackupStorage",
    "data source `steppe_console_address`": "GetVmConsoleAddress",
    "data source `steppe_global_config`": "GetGlobalConfig",
    "no: an operator's act, which leaves nothing to declare": """
        ReconnectBackupStorage ReconnectPrimaryStorage ReconnectSftpBackupStorage RecoverDataVolume RecoverImage
        RecoverVmInstance""",
    "no: a question of the moment, whose answer a state would keep too long": """
        GetAccountQuotaUsage GetBackupStorageCapacity GetCandidateIsoForAttachingVm GetCpuMemoryCapacity
        GetDataVolumeAttachableVm GetFreeIp GetHypervisorTypes GetIpAddressCapacity GetL2NetworkTypes
        GetLocalStorageHostDiskCapacity GetPrimaryStorageCapacity GetVmAttachableDataVolume GetVmAttachableL3Network
        GetVmMigrationCandidateHosts GetVmScreenshot GetVmStartSettings ListVmStartSettings QueryAudit""",
    "attribute `wait_for` of `steppe_vm`": "GetVmBootProgress",
    "data source `steppe_vm_boot_order`": "GetVmBootOrder",
    "data source `steppe_volume_snapshot_trees`": "GetVolumeSnapshotTree",
    "ephemeral resource `steppe_console_password`": "GetVmConsolePassword",
}


class Uncovered(Exception):
    """Names the APIs that nothing in the provider uses and that have no word in `ELSEWHERE`, or that have both."""


def table() -> str:
    import_all()
    used, rows = _used(), {}
    otherwise = {name: place for place, names in ELSEWHERE.items() for name in names.split()}
    for name, api in sorted(apis.items()):
        places = _read_by(api) if issubclass(api, Query) else used.get(name, set())
        rows[name] = ", ".join(sorted(places)) or otherwise.get(name, "")
    if overtaken := [name for name in otherwise if rows[name] != otherwise[name]]:
        raise Uncovered(f"in the provider now, so not in `ELSEWHERE`: {', '.join(overtaken)}")
    missing = [name for name, place in rows.items() if not place]
    if missing:
        raise Uncovered(f"no place in Terraform: {', '.join(missing)}; use them in the provider, or say why not")
    return HEAD + "".join(f"| {name} | {place} |\n" for name, place in rows.items())


def _read_by(api: type[Api]) -> set[str]:
    """The data sources and list resources that read what a query finds."""
    path = api.route.path.strip("/")
    found = {
        f"{kind} `{one.type_name}`"
        for kind, all_of_them in (("data source", Steppe.data_sources), ("list resource", Steppe.list_resources))
        for one in all_of_them
        if path in (getattr(one, "collection", None), getattr(getattr(one, "resource", None), "collection", None))
    }
    return found or ({"data source `steppe_query`"} if path in COLLECTIONS.values() else set())


def _used() -> dict[str, set[str]]:
    """Where in Terraform, by the APIs that the provider's modules name: `AddIpRange`, or `updateZone` as an action."""
    by_word = {word: name for name, api in apis.items() for word in (name, api.route.action or name)}
    homes: dict[str, set[str]] = {}
    for attribute, kind in KINDS.items():
        for one in getattr(Steppe, attribute, ()):
            homes.setdefault(type(one).__module__, set()).add(f"{kind} `{one.type_name}`")
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "provider").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        while module and module not in homes:  # `vm_tags` holds a part of what `vm` declares
            module = module.rpartition("_")[0]
        for word in _texts(path.read_text()) if module else ():
            if word in by_word:
                found.setdefault(by_word[word], set()).update(homes[module])
    return found


def _texts(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def main() -> int:
    TABLE.write_text(table())
    print(TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
