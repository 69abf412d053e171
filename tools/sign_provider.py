"""Sign the packed provider with a GPG key: what Terraform's registry protocol wants beside the zip.

    python -m tools.sign_provider KEY [FOLDER]

KEY is a fingerprint or address of a secret key in gpg's key ring; FOLDER is a mirror's, build/providers by default. Writes the
manifest, the checksums and their signature of the current version, and adds the key to `signing_keys.json`.
https://developer.hashicorp.com/terraform/registry/providers/publishing
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from tools.build_provider import SOURCE, project_version
from tools.pack_provider import PROVIDERS

PROTOCOL = "6.0"  # Terraform's plug-in protocol, which provider/wire speaks


def sign(key: str, folder: Path = PROVIDERS) -> Path:
    """Returns the signature. Raises CalledProcessError when gpg refuses."""
    home, base = folder / SOURCE, f"terraform-provider-steppe_{project_version()}"
    manifest = home / f"{base}_manifest.json"
    manifest.write_text(json.dumps({"version": 1, "metadata": {"protocol_versions": [PROTOCOL]}}) + "\n")
    files = [*sorted(home.glob(f"{base}_*.zip")), manifest]
    sums = home / f"{base}_SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in files))
    signature = sums.with_name(sums.name + ".sig")
    signature.unlink(missing_ok=True)  # of other checksums
    _gpg("--local-user", key, "--output", str(signature), "--detach-sign", str(sums))
    _publish(key, home / "signing_keys.json")
    return signature


def _publish(key: str, keys: Path) -> None:
    """Keys of earlier releases stay."""
    known = json.loads(keys.read_text())["gpg_public_keys"] if keys.exists() else []
    lines = [line.split(":") for line in _gpg("--with-colons", "--list-keys", key).splitlines()]
    key_id = next(fields[4] for fields in lines if fields[0] == "pub")
    mine = {"key_id": key_id, "ascii_armor": _gpg("--armor", "--export", key)}
    others = [one for one in known if one["key_id"] != key_id]
    keys.write_text(json.dumps({"gpg_public_keys": [*others, mine]}, indent=2) + "\n")


def _gpg(*words: str) -> str:
    return subprocess.run(["gpg", "--batch", *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> int:
    if not 2 <= len(sys.argv) <= 3 or not sys.argv[1]:
        print(f"which GPG key shall sign? (make release KEY=…)\n\n{__doc__}", file=sys.stderr)
        return 2
    try:
        print(sign(sys.argv[1], *map(Path, sys.argv[2:])))
    except FileNotFoundError:
        print("gpg is not installed (Debian: gnupg)", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failed:
        return failed.returncode  # gpg said why
    return 0


if __name__ == "__main__":
    sys.exit(main())
