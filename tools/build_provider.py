"""Build the Terraform provider into build/mirror, where a plain `terraform init` finds it.

The result is one executable zip of this project's provider, byte-compiled, started by this environment's interpreter
(gRPC and friends come from there); with it a CLI configuration, build/terraformrc, that names the mirror.
"""

import compileall
import io
import os
import py_compile
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SOURCE = "terraform.local/steppe/steppe"  # an address of no registry
PLATFORM = "linux_amd64"
MAIN = """\
import gc, sys
gc.disable()  # nothing of what is imported is garbage: looking for it costs a tenth of the start
{path}from provider.main import main
gc.freeze()
gc.enable()
sys.exit(main())
"""
LONGEST_INTERPRETER = 120  # characters; older kernels cut the first line at 127


def main() -> int:
    version = project_version()
    directory = BUILD / "mirror" / SOURCE / version / PLATFORM
    directory.mkdir(parents=True, exist_ok=True)
    binary = directory / f"terraform-provider-steppe_v{version}"
    fresh = binary.with_suffix(".fresh")
    fresh.write_bytes(_shebang() + _archive())
    fresh.chmod(0o755)
    os.replace(fresh, binary)  # a running provider keeps its own file
    _compile_libraries()
    rc = BUILD / "terraformrc"
    rc.write_text(_terraformrc(BUILD / "mirror"))
    print(f"{binary}\nuse it with: export TF_CLI_CONFIG_FILE={rc}")
    return 0


def project_version() -> str:
    """The project's version without a pre-release part, which Terraform would never choose by itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"]).split("rc")[0]


def _shebang() -> bytes:
    if len(sys.executable) > LONGEST_INTERPRETER or " " in sys.executable:
        raise SystemExit(f"{sys.executable}: a program's first line cannot name this interpreter; use a shorter path")
    return f"#!{sys.executable} -IS\n".encode()


def _archive() -> bytes:
    """Source and byte code side by side; the byte code holds whatever the dates of files are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive, tempfile.TemporaryDirectory() as scratch:
        modules = {path.relative_to(ROOT): path.read_bytes() for path in sorted((ROOT / "provider").rglob("*.py"))}
        modules[Path("__main__.py")] = MAIN.format(
            path=f"sys.path.append({sysconfig.get_paths()['purelib']!r})\n"
        ).encode()
        for number, (name, source) in enumerate(modules.items()):
            file, compiled = Path(scratch, f"{number}.py"), Path(scratch, f"{number}.pyc")
            file.write_bytes(source)
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(file), str(compiled), str(name), doraise=True, invalidation_mode=mode)
            for entry, data in ((name.with_suffix(".pyc"), compiled.read_bytes()), (name, source)):
                archive.writestr(zipfile.ZipInfo(str(entry)), data)  # no dates: the same source, the same bytes
    return buffer.getvalue()


def _compile_libraries() -> None:
    """Without byte code of its libraries a start takes five times as long."""
    packages = Path(sysconfig.get_paths()["purelib"])
    for name in ("grpc", "google", "msgpack"):
        compileall.compile_dir(packages / name, quiet=2, workers=1)


def _terraformrc(mirror: Path) -> str:
    host = SOURCE.split("/")[0]
    return f"""\
provider_installation {{
  filesystem_mirror {{
    path    = "{mirror}"
    include = ["{host}/*/*"]
  }}
  direct {{
    exclude = ["{host}/*/*"]
  }}
}}
"""


if __name__ == "__main__":
    sys.exit(main())
