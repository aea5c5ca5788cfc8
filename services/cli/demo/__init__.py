"""`kejing demo`: loads demonstration data and tells, step by step, what the product does with them."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def demo(
    if_new: Annotated[bool, typer.Option("--if-new", help="Do nothing where the story was told before.")] = False,
) -> None:
    """Load the demonstration data and play a story that goes through every part of the product."""
    from services.cli.demo.story import tell, was_told

    if if_new and was_told():
        print("the demonstration is here already; `kejing demo` plays it again")
        return
    tell()
