"""What the commands that read labelled spectra share."""

from __future__ import annotations

from typing import Annotated

import typer

TrustInput = Annotated[
    bool,
    typer.Option(
        "--trust-input", help="Only warn of data that cannot be right, and leave out spectra that cannot be used."
    ),
]
Irradiance = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|builtin|official",
        help="Solar irradiance the data were made with, for the card; default: as the data say.",
    ),
]
