"""Static files of the web page: those of others are what they are said to be, and all come with the package."""

import hashlib
import re
from pathlib import Path

from prunner_trio.http.pages.assets import read_assets

PAGES = Path(__file__).parents[2] / "src" / "prunner_trio" / "http" / "pages"


def test_files_of_others_are_as_published() -> None:
    vendor = PAGES / "static" / "vendor"
    told = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", (vendor / "README.md").read_text(), re.MULTILINE))
    assert told == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in vendor.glob("*.js")}
    assert (vendor / "LICENSE-htmx").read_text().startswith("Zero-Clause BSD")


def test_an_address_changes_with_the_content() -> None:
    assets = read_assets()
    assert {"app.css", "app.js", "theme.js", "icon.svg", "vendor/htmx.min.js"} <= set(assets)
    for name, asset in assets.items():
        version, _, rest = asset.path.partition("/")
        assert re.fullmatch("[0-9a-f]{12}", version)
        assert rest == name


def test_our_own_files_load_nothing_from_elsewhere() -> None:
    for name, asset in read_assets().items():
        if not name.startswith("vendor/"):
            text = asset.content.decode().replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?:|@import|url\(|\beval\(|innerHTML", text), name


def test_templates_never_mark_anything_as_safe() -> None:
    for file in (PAGES / "templates").rglob("*.html"):
        text = file.read_text()
        assert not re.search(r"\|\s*safe|autoescape", text), file.name
