"""The command that rehearses the closed loop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def rehearse(
    rounds: Annotated[int, typer.Option(min=1, max=15, help="Years to live.")] = 3,
    arms: Annotated[
        str, typer.Option(metavar="NAMES", help="Of list, trace_chasing and random_only.")
    ] = "list,trace_chasing,random_only",
    random_share: Annotated[
        str, typer.Option(metavar="SHARES", help="Random shares of the arm list.")
    ] = "0.1",
    obey: Annotated[
        str, typer.Option(metavar="SHARES", help="Shares of the list's places that are visited.")
    ] = "1",
    seeds: Annotated[int, typer.Option(min=1, max=50, help="How many countries.")] = 1,
    dealers: Annotated[int, typer.Option(min=200, max=100_000, help="Size of a country.")] = 5_000,
    history: Annotated[int, typer.Option(min=3, max=10, help="Years before the first.")] = 6,
    capacity: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Visits a year, as a share of the dealers.")
    ] = 0.10,
    policy: Annotated[
        str, typer.Option(metavar="NAME", help="How visits were chosen before.")
    ] = "historic",
    recipe: Annotated[
        str, typer.Option(metavar="NAME", help="Recipe with a compliance head.")
    ] = "country",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="Keeps the rounds; go on by naming it again."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.")
    ] = False,
) -> None:
    """Rehearse the closed loop on a simulated country before a regulator closes it.

    Each year's visits are chosen by the product's own list, or by another arm; what they find
    teaches the next list. An interrupted rehearsal goes on where it stopped when the same command
    is given again. Ends with exit code 5 when stated intervals miss more often than they may, or
    a group gets less than half of its right share of the lists.

    Example: ffl-risk rehearse --rounds 6 --random-share 0,0.1,0.2 --obey 1,0.7 --seeds 3
    """
    from features.home import home
    from training.commands.output import tell
    from training.progress import Steps
    from training.recipe import load_recipe
    from training.studies.rehearsal import Plan, require_sound
    from training.studies.rehearsal import rehearse as run
    from training.studies.rehearsal.page import rehearsal_page

    plan = Plan(
        rounds=rounds,
        arms=tuple(name.strip() for name in arms.split(",") if name.strip()),
        random_share=_shares(random_share, "--random-share"),
        obey=_shares(obey, "--obey"),
        seeds=seeds,
        dealers=dealers,
        history_years=history,
        capacity=capacity,
        policy=policy,
    )
    found = run(plan, load_recipe(recipe), out or home() / "rehearsal", Steps())
    tell(rehearsal_page(found), found, stem="rehearsal", as_json=as_json)
    require_sound(found)


def _shares(text: str, option: str) -> tuple[float, ...]:
    """Read numbers with commas between them."""
    from training.errors import TrainingError

    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise TrainingError(
            f"{option} cannot be read.", found=text, expected="numbers, such as 0,0.1,0.2"
        ) from None
