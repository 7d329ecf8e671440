"""`tunery classify`"""

from typing import Annotated

import typer

from tunery._cli.options import AsJson, client_of
from tunery._cli.output import print_json, print_table
from tunery._types import Classified


def classify(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A tuned model with a head, ft:…")],
    texts: Annotated[list[str], typer.Argument(metavar="TEXT…", help="What to look at.")],
    as_json: AsJson = False,
) -> None:
    """Label texts, or score them with a reward model."""
    found = client_of(ctx).classify.create(model=model, input=texts)
    if as_json:
        print_json(found)
        return
    print_table(
        ["text", "label", "probability or score"],
        [[texts[each.index], _label(each), _numbers(each)] for each in found.data],
    )


def _label(found: Classified) -> str:
    if found.labels is not None:
        return ", ".join(found.labels) or "none"
    return found.label or "–"


def _numbers(found: Classified) -> str:
    if found.score is not None:
        return f"{found.score:.4f}"
    ordered = sorted((found.probs or {}).items(), key=lambda pair: -pair[1])
    return ", ".join(f"{label} {probability:.3f}" for label, probability in ordered)
