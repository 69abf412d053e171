"""Write docs/global-configuration.md from the declarations in controlplane/rules/global_config.py; a test fails when it is stale."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from controlplane.rules.global_config import ENTRIES  # noqa: E402

PAGE = ROOT / "docs" / "global-configuration.md"
_HEAD = """# Global configuration

What holds for the whole cloud and may be changed while it runs. A change takes effect at once, on every node, and survives
restarts; where an entry concerns running VMs, its description says when they take it.

    steppe QueryGlobalConfig category=kvm
    steppe UpdateGlobalConfig category=kvm name=vm.cpuMode value=host-model
    steppe ResetGlobalConfig category=kvm name=vm.cpuMode

An unknown entry or a value that is not allowed is refused with `SYS.1007`, which says what is allowed; the old value stays.

This page is made by `tools/build_config_docs.py` from `controlplane/rules/global_config.py`.
"""


def page() -> str:
    parts = [_HEAD]
    category = ""
    for entry in ENTRIES:
        if entry.category != category:
            category = entry.category
            parts.append(f"\n## {category}\n")
        parts.append(f"\n**{entry.name}** = `{entry.default}` ({entry.kind.words})\n\n{entry.description}\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
