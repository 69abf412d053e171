"""Importing the package is enough to know every API."""

from pathlib import Path

import controlplane.contract


def test_every_module_with_an_api_comes_with_the_package():
    folder = Path(controlplane.contract.__file__).parent
    declaring = {file.stem for file in folder.glob("*.py") if "\n@api\n" in file.read_text()}
    assert declaring == set(controlplane.contract.__all__)
