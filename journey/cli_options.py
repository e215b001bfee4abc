"""Options that many commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the embedded stack keeps its data (default .journey).")
]
FunnelOption = Annotated[
    list[str] | None,
    typer.Option("--funnel", help="A funnel file, or the name of a preset; may be repeated (default sales)."),
]
