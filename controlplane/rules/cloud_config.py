"""What cloud-init knows of a `#cloud-config`: its keys and the types of their values, in a table of our own (pure).

Facts: cloud-init's module reference and schema (https://docs.cloud-init.io), versions 20 to 25. Versions differ, so
what is not in the table is a warning, never a refusal: the guest's cloud-init decides.
"""

from collections.abc import Iterator

import yaml

from controlplane.contract.parse import suggestion
from controlplane.rules.yaml_text import kind, place

MOST = 20  # warnings of one document
_SPELLED = {
    "seq": "a list", "map": "a mapping", "str": "text", "int": "a number", "null": "nothing", "bool": "true or false",
    "timestamp": "a date (in quotes it is text)", "float": "a number with a point",
}  # fmt: skip

Table = dict[str, frozenset[str]]


def _table(text: str) -> Table:
    """Lines of `types: keys`."""
    found: Table = {}
    for line in text.strip().splitlines():
        types, _, keys = line.partition(":")
        found |= dict.fromkeys(keys.split(), frozenset(types.split()))
    return found


_TOP = _table("""
seq: bootcmd runcmd packages mounts mount_default_fields fs_setup write_files ssh_authorized_keys ssh_genkeytypes
seq: ssh_import_id ssh_key_console_blacklist ssh_fp_console_blacklist snappy datasource_list
seq: cloud_init_modules cloud_config_modules cloud_final_modules unverified_modules
bool: package_update package_upgrade package_reboot_if_required apt_update apt_upgrade apt_reboot_if_required
bool: disable_ec2_metadata migrate manage_resolv_conf preserve_hostname prefer_fqdn_over_hostname disable_root
bool: create_hostname_file ssh_deletekeys allow_public_ssh_keys ssh_quiet_keygen no_ssh_fingerprints allow_userdata
bool: disable_vmware_customization apt_preserve_sources_list
str: hostname fqdn timezone locale locale_configfile password final_message byobu_by_default authkey_hash
str: disable_root_opts yum_repo_dir apt_mirror apt_proxy def_log_file instance-id cloud_type
str int: launch-index
str bool: ssh_pwauth manage_etc_hosts resize_rootfs
str bool int: apt_pipelining
str map: user
str seq map: users groups merge_how merge_type output syslog_fix_perms
map null: ntp wireguard
map: autoinstall ansible apk_repos apt ca_certs ca-certs chef chpasswd device_aliases disk_setup drivers fan growpart
map: grub_dpkg grub-dpkg updates keyboard ssh landscape lxd mcollective swap phone_home power_state puppet resolv_conf
map: rh_subscription rsyslog salt_minion vendor_data vendor_data2 random_seed snap spacewalk ssh_keys rpi
map: ssh_publish_hostkeys ubuntu_advantage ubuntu_pro yum_repos zypper reporting datasource system_info network
map: default_user_info raspberry_pi
map seq: log_cfgs
""")
_USER = _table("""
str: name snapuser expiredate gecos homedir inactive passwd hashed_passwd plain_text_passwd primary_group
str: selinux_user shell
seq: ssh_authorized_keys
seq str: ssh_import_id doas
str seq map: groups
str seq null bool: sudo
bool: lock_passwd no_create_home no_log_init no_user_group create_groups ssh_redirect_user system
int str: uid
""")
_FILE = _table("""
str: path content encoding owner permissions
bool: append defer
map: source
""")
_CHPASSWD = _table("""
bool: expire
str seq: list
seq: users
""")
_POWER = _table("""
str: mode message
str int: delay
int: timeout
str bool seq: condition
""")
_INSIDE = {"chpasswd": _CHPASSWD, "power_state": _POWER}
_ITEMS = {"users": _USER, "write_files": _FILE}


def problems(tree: yaml.Node) -> list[str]:
    """Warnings with line and column about the mapping of a cloud-config, in the order of the text."""
    found = [problem for _, problem in sorted(_document(tree))]
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return found[:MOST] + more


Found = tuple[tuple[int, int], str]


def _document(tree: yaml.Node) -> Iterator[Found]:
    yield from _mapping(tree, _TOP, "")
    checked: set[int] = set()  # an item that is referred to a thousand times is looked at once
    for key, value in tree.value:
        if key.value in _INSIDE and isinstance(value, yaml.MappingNode):
            yield from _mapping(value, _INSIDE[key.value], f"{key.value}.")
        if key.value in _ITEMS and isinstance(value, yaml.SequenceNode):
            for number, item in enumerate(value.value):
                if isinstance(item, yaml.MappingNode) and id(item) not in checked:
                    checked.add(id(item))
                    yield from _mapping(
                        item, _ITEMS[key.value], f"{key.value}[{number}].", hyphens=key.value == "users"
                    )


def _mapping(node: yaml.Node, table: Table, path: str, *, hyphens: bool = False) -> Iterator[Found]:
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        if kind(key) == "merge":
            continue
        if name in seen:
            yield _found(key, f"{path}{name} is given twice; the last one counts")
        seen.add(name)
        if hyphens and name not in table and (modern := name.replace("-", "_")) in table:
            yield _found(key, f"{path}{name} is an old spelling of {modern}")
            name = modern
        if name not in table:
            yield _found(key, f"{path}{name} is no key that cloud-init knows{suggestion(name, table)}")
        elif kind(value) not in table[name]:
            yield _found(value, f"{path}{name} should be {_listed(table[name])}, it is {_word(kind(value))}")


def _found(node: yaml.Node, text: str) -> Found:
    where = place(node.start_mark)
    return (where.line, where.column), f"{where}: {text}"


def _listed(types: frozenset[str]) -> str:
    return " or ".join(sorted(_word(each) for each in types))


def _word(name: str) -> str:
    return _SPELLED.get(name, f"a {name}")
