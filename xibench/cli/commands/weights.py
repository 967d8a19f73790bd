"""`xibench weights`: weight files with canonical names, the same for every framework."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from xibench.cli.options import Model, Variant, count_from_zero, whole_number
from xibench.errors import StoreError

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=False)


@app.callback()
def weights() -> None:
    """Write weight files (safetensors) that every framework can load."""


@app.command("init")
def init(
    model: Model,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The safetensors file to write.")],
    variant: Variant = "default",
    resolution: Annotated[
        int | None,
        typer.Option(
            parser=whole_number,
            metavar="PX",
            help="Width and height of the images in pixels; VGG-16's first dense layer depends on them.  "
            "[default: the network's own]",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            parser=count_from_zero,
            metavar="N",
            help="Seed of the weights: the same seed gives the same weights everywhere.",
        ),
    ] = 0,
) -> None:
    """Write seeded initial weights to a safetensors file.

    Names and values are the same for every framework; `xibench run --weights FILE` loads them.

    \b
    Example:  xibench weights init xception --seed 1 --out xception.safetensors
    """
    from safetensors import SafetensorError

    from frameworks.architectures import network
    from frameworks.weights import initial, save
    from xibench.cli.render import terminal
    from xibench.record.text import shell_word

    built = network(model, variant, **({} if resolution is None else {"resolution": resolution}))
    values = initial(built, seed)
    if not out.parent.is_dir():
        raise StoreError(f"weights: cannot write {out}: the folder {out.parent} does not exist; create it first")
    try:
        save(out, built, values)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"weights: cannot write {out}: {error}") from None
    quoted = shell_word(str(out))
    line = f"wrote {len(values)} arrays of {model}/{variant}, seed {seed}; `xibench run --weights {quoted}` uses them"
    terminal.say(line, sys.stderr)
    terminal.say_path(out)
