"""The vendored files are those of the lock file, byte for byte."""

import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "vendor_assets", ROOT / "scripts" / "vendor_assets.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_is_what_the_manifest_says(vendor: ModuleType) -> None:
    assert vendor.differences() == []


def test_a_changed_missing_or_foreign_file_is_found(
    vendor: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "vendor"
    shutil.copytree(vendor.VENDOR, copy)
    for name in ("VENDOR", "LOCK", "MANIFEST"):
        monkeypatch.setattr(
            vendor,
            name,
            copy / getattr(vendor, name).relative_to(ROOT / "static" / "vendor"),
        )
    (copy / "htmx.min.js").write_text("alert(1)")
    (copy / "icons.svg").unlink()
    (copy / "stray.js").write_text("")

    found = "\n".join(vendor.differences())

    assert "htmx.min.js: its hash" in found
    assert "icons.svg: missing" in found
    assert "stray.js: not in manifest.json" in found


def test_every_locked_file_has_its_licence_beside_it() -> None:
    lock = json.loads((ROOT / "static/vendor/lock.json").read_text())

    for package in lock["packages"]:
        assert any(
            target.startswith("licenses/") for target in package["files"].values()
        ), package["name"]
        assert package["integrity"].startswith("sha512-")


def test_every_icon_that_is_used_is_in_the_sprite_and_every_icon_in_the_sprite_is_used() -> (
    None
):
    sprite = set(
        re.findall(
            r'<symbol id="([a-z0-9-]+)"', (ROOT / "static/vendor/icons.svg").read_text()
        )
    )
    sources = [*ROOT.glob("templates/**/*.html"), *ROOT.glob("appliance/web/**/*.py")]
    text = "\n".join(path.read_text() for path in sources)

    used = {name for name in sprite if re.search(rf'"{name}"', text)}
    asked = set(re.findall(r'ui\.(?:icon|sends)\("([a-z0-9-]+)"', text)) | set(
        re.findall(r'[( ](?:icon|sends)\("([a-z0-9-]+)"', text)
    )

    assert asked <= sprite
    assert sprite - used == set()
