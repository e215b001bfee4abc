"""The funnel files that settings name: paths, or names of the presets that ship."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agents.days_off import days_off
from funnel.channels import load_channels
from funnel.definition import Funnel, load_funnels
from funnel.reading import FunnelError
from funnel.rules import RuleSet
from journey.errors import SettingsError

PRESETS = Path(__file__).parent.parent / "funnels"
CHANNELS = Path(__file__).parent.parent / "channels" / "default.toml"
"""The channel rules that ship."""


def preset_names() -> list[str]:
    """Names of the presets that ship."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def funnel_paths(named: Iterable[str]) -> tuple[Path, ...]:
    """The files: a name without a slash or suffix is a preset, unless a file of that name is there.

    Raises:
        SettingsError: there is no such file or preset.
    """
    paths = []
    for name in named:
        path, preset = Path(name), PRESETS / f"{name}.toml"
        if not path.is_file() and "/" not in name and preset.is_file():
            path = preset
        if not path.is_file():
            raise SettingsError(f"funnel {name}: expected a TOML file or a preset ({', '.join(preset_names())})")
        paths.append(path.resolve())
    return tuple(paths)


def channel_paths(own: str) -> tuple[Path, ...]:
    """The files of channel rules: one's own first, where there is one, then those that ship.

    Raises:
        SettingsError: the file is missing or wrong; names it, the key and what was expected.
    """
    paths = (*([Path(own).resolve()] if own else []), CHANNELS)
    try:
        load_channels(paths)
    except FunnelError as error:
        raise SettingsError(f"JOURNEY_CHANNELS: {error}") from error
    return paths


def load(named: Iterable[str]) -> tuple[tuple[Funnel, ...], RuleSet]:
    """The funnels and their compiled rules.

    Raises:
        SettingsError: a file is missing or wrong; names it, the key and what was expected.
    """
    try:
        funnels = load_funnels(funnel_paths(named))
        return funnels, RuleSet(funnels, days_off)
    except ValueError as error:  # a FunnelError is one
        raise SettingsError(str(error)) from error
