"""Every document of one guest by its path, in the three dialects that guests speak.

CloudStack: `/latest/meta-data/<leaf>` with all public keys in one leaf. EC2: the same leaves, `public-keys/` as a
directory, the network tree, the identity document; its dated versions are folded into two spellings by `canonical`
because only `public-keys` differs. OpenStack: `/openstack/<version>/`. A directory is the path with a final slash and
lists its children; without the slash it answers the same.
"""

import re
from base64 import b64decode
from ipaddress import IPv4Network
from json import dumps

from hostagent.contract import InstanceMetadata, NetworkSpec, PortSpec

EC2 = "/ec2"  # stands for every dated version
LATEST = "/latest"
OPENSTACK = "/openstack/latest"
_VERSION = re.compile(r"/(?:1\.0|\d{4}-\d\d-\d\d)(?=/|$)")
_OPENSTACK_VERSION = re.compile(r"/openstack/\d{4}-\d\d-\d\d(?=/|$)")
_VERSIONS = "1.0\n2009-04-04\n2018-09-24\n2021-03-23\nlatest"

Nics = list[tuple[PortSpec, NetworkSpec]]


def canonical(path: str) -> str:
    """The path in `tree` that a requested path means: without query, repeated slashes and the version's number."""
    path = re.sub(r"/{2,}", "/", path.partition("?")[0])
    return _VERSION.sub(EC2, _OPENSTACK_VERSION.sub(OPENSTACK, path), count=1)


def tree(instance: InstanceMetadata, port: PortSpec, network: NetworkSpec, nics: Nics) -> dict[str, bytes]:
    documents = {"/": _VERSIONS, "/openstack/": "latest"}
    leaves = _leaves(instance, port)
    keys = _key_tree(instance)
    for root in (LATEST, EC2):
        data = {f"{root}/meta-data/{name}": value for name, value in leaves.items()}
        data |= {f"{root}/meta-data/{name}": value for name, value in _nic_tree(nics).items()}
        data[f"{root}/dynamic/instance-identity/document"] = _identity(instance, port)
        listed = _with_directories(data, root)
        if root == LATEST:
            listed["/latest/meta-data/"] += "\npublic-keys" if keys else ""
        elif keys:
            listed["/ec2/meta-data/"] += "\npublic-keys/"
        listed |= {f"{root}/meta-data/{name}": value for name, value in keys.items()}
        documents |= listed
    openstack = {f"{OPENSTACK}/meta_data.json": _openstack(instance), f"{OPENSTACK}/vendor_data.json": "{}"}
    documents |= _with_directories(openstack, OPENSTACK)
    served = {path: text.encode() for path, text in documents.items()}
    if instance.user_data_base64:
        user_data = b64decode(instance.user_data_base64)
        for directory, name in ((LATEST, "user-data"), (EC2, "user-data"), (OPENSTACK, "user_data")):
            served[f"{directory}/{name}"] = user_data
            served[f"{directory}/"] += f"\n{name}".encode()
    served |= {path[:-1]: body for path, body in served.items() if path.endswith("/") and path[:-1] not in served}
    if instance.public_keys:
        served["/latest/meta-data/public-keys"] = "\n".join(instance.public_keys).encode()
    return served


def _leaves(instance: InstanceMetadata, port: PortSpec) -> dict[str, str]:
    leaves = {
        "availability-zone": instance.availability_zone,
        "hostname": instance.hostname,
        "instance-id": instance.instance_id,
        "instance-type": instance.service_offering,
        "local-hostname": instance.hostname,
        "local-ipv4": port.ip,
        "mac": port.mac,
        "placement/availability-zone": instance.availability_zone,
        "service-offering": instance.service_offering,
        "vm-id": instance.vm_uuid,
    }
    # cloud-init's CloudStack source fails as a whole without an availability zone: an empty one is served
    return {name: value for name, value in leaves.items() if value or name == "availability-zone"}


def _key_tree(instance: InstanceMetadata) -> dict[str, str]:
    """EC2's way to list keys: a number and a name each, then a directory for each number."""
    if not instance.public_keys:
        return {}
    documents = {"public-keys/": "\n".join(f"{at}=key-{at}" for at in range(len(instance.public_keys)))}
    for at, key in enumerate(instance.public_keys):
        documents[f"public-keys/{at}/"] = "openssh-key"
        documents[f"public-keys/{at}/openssh-key"] = key
    return documents


def _nic_tree(nics: Nics) -> dict[str, str]:
    documents: dict[str, str] = {}
    for number, (port, network) in enumerate(sorted(nics, key=lambda nic: not nic[0].is_default)):
        root = f"network/interfaces/macs/{port.mac}"
        subnet = IPv4Network(network.cidr, strict=False)
        documents |= {
            f"{root}/device-number": str(number),
            f"{root}/interface-id": port.nic_uuid,
            f"{root}/local-ipv4s": port.ip,
            f"{root}/mac": port.mac,
            f"{root}/subnet-ipv4-cidr-block": str(subnet),
        }
    return documents


def _with_directories(documents: dict[str, str], root: str) -> dict[str, str]:
    """`documents`, and each directory down from `root` with the names in it; those of directories end in a slash."""
    children: dict[str, dict[str, None]] = {}
    for path in documents:
        parts = path.removeprefix(f"{root}/").split("/")
        for depth, name in enumerate(parts):
            directory = "/".join((root, *parts[:depth])) + "/"
            children.setdefault(directory, {})[name if depth == len(parts) - 1 else f"{name}/"] = None
    return documents | {directory: "\n".join(sorted(names)) for directory, names in children.items()}


def _identity(instance: InstanceMetadata, port: PortSpec) -> str:
    document = {
        "availabilityZone": instance.availability_zone,
        "instanceId": instance.instance_id,
        "instanceType": instance.service_offering,
        "privateIp": port.ip,
        "region": instance.availability_zone,
        "version": "2017-09-30",
    }
    return dumps(document, indent=2)


def _openstack(instance: InstanceMetadata) -> str:
    document = {
        "availability_zone": instance.availability_zone,
        "hostname": instance.hostname,
        "launch_index": 0,
        "name": instance.hostname,
        "public_keys": {f"key-{at}": key for at, key in enumerate(instance.public_keys)},
        "uuid": instance.instance_id,
    }
    return dumps(document)
