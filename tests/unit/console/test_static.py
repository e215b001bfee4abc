"""What is served as it is: the vendored library is the one that is named, and our own files hang together."""

from __future__ import annotations

import hashlib
import re

from console.rendering import HERE, NAVIGATION, STATIC

_VENDOR = STATIC / "vendor"


def test_the_chart_library_is_the_one_that_is_named() -> None:
    """Its checksum is in the README beside it, its licences too."""
    digest = hashlib.sha256((_VENDOR / "echarts" / "echarts.esm.min.js").read_bytes()).hexdigest()
    assert digest in (_VENDOR / "README.md").read_text()
    assert "Apache License" in (_VENDOR / "echarts" / "LICENSE").read_text()
    assert "Apache Software Foundation" in (_VENDOR / "echarts" / "NOTICE").read_text()


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No template, style or script of ours names another host."""
    ours = [*(HERE / "templates").glob("*.html"), *STATIC.glob("*.js"), *STATIC.glob("*.css")]
    assert len(ours) > 15
    for file in ours:
        assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]{2,}/|@import", file.read_text()), file.name


def test_every_icon_and_style_is_there() -> None:
    """Icons of the navigation are in the sprite; both ways to a dark page have the same colours."""
    sprite = (STATIC / "icons.svg").read_text()
    for _, places in NAVIGATION:
        for place in places:
            assert f'id="{place.icon}"' in sprite
    css = (STATIC / "console.css").read_text()
    by_system = css[css.index(':root:not([data-theme="light"]) {') : css.index("}\n}\n")]
    by_choice = css[css.index(':root[data-theme="dark"] {') :]
    by_choice = by_choice[: by_choice.index("}")]
    colours = [set(re.findall(r"(--[\w-]+): ([^;]+);", text)) for text in (by_system, by_choice)]
    assert colours[0] == colours[1]
    assert len(colours[0]) > 20
