"""Static files as browsers get them: one small stylesheet, hashed names, compressed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_MOST = 150_000  # bytes of all of our own files, compressed


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    var = tmp_path_factory.mktemp("var")
    collect(var)
    return var / "static"


def collect(var: Path) -> None:
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"VAR_DIR": str(var)}, check=True, timeout=120)


def test_stylesheets_are_joined_and_have_hashed_compressed_names(collected: Path) -> None:
    names = json.loads((collected / "staticfiles.json").read_text())["paths"]
    stylesheet = collected / names["routeplex.css"]
    assert "@import" not in stylesheet.read_text()
    assert "--accent" in stylesheet.read_text()
    assert stylesheet.with_name(stylesheet.name + ".gz").exists()


def test_all_own_files_are_small(collected: Path) -> None:
    names = json.loads((collected / "staticfiles.json").read_text())["paths"]
    own = [
        name
        for name in names
        if "/" not in name.removeprefix("vendor/") and not name.endswith((".md", ".LICENSE"))
    ]
    assert len(own) > 10
    sizes = {}
    for name in own:
        packed = collected / (names[name] + ".gz")
        sizes[name] = (packed if packed.exists() else collected / names[name]).stat().st_size
    assert sum(sizes.values()) < _MOST, sizes


def test_a_stylesheet_joined_by_an_older_version_is_joined_again(collected: Path) -> None:
    (collected / "routeplex.css").write_text("/* joined from older parts */")
    collect(collected.parent)
    assert "--accent" in (collected / "routeplex.css").read_text()
