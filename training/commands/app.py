"""The commands of this folder: train, backtest, compare, indicators, fairness, promote and more."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from training.commands.adopt import adopt
from training.commands.rehearse import rehearse

if TYPE_CHECKING:
    from features.warehouse import Warehouse
    from training.recipe import Recipe

app = typer.Typer()

WarehouseOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads annotations at run time on every Python
    typer.Option(
        "--warehouse",
        metavar="PATH",
        help="Folder of the warehouse. Default: the folder warehouse in FFL_RISK_HOME.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
RecipeOption = Annotated[str, typer.Option(metavar="NAME", help="Recipe with a compliance head.")]
CandidateOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="NUMBER", help="Candidate to judge. Default: the newest."),
]


@app.command()
def train(
    recipe: Annotated[
        str, typer.Option(metavar="NAME", help="country, public_records, or a TOML file.")
    ] = "country",
    promote_it: Annotated[
        bool, typer.Option("--promote", help="Promote the candidate if every gate passes.")
    ] = False,
    decisions: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Inspectors' decisions, judged as a rival of the list."),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="embedded or spark: what builds the signals.")
    ] = "embedded",
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a candidate, judge it, register it as the challenger and write its report.

    A recipe says which heads are trained, on which labels and signals, how they are judged and
    what the promotion gates ask for. A head that is no better than chance is refused: it stays
    out of the bundle, and the run says so.

    Commands to start from:

      ffl-risk train --recipe public_records

      ffl-risk train --recipe country --promote
    """
    import json

    from features.engine.choice import engine_named
    from features.home import home
    from features.warehouse import Warehouse
    from training.commands.promote import promote_candidate
    from training.commands.train import train_candidate
    from training.progress import Steps, one_thread
    from training.recipe import load_recipe
    from training.studies.rivals import read_decisions

    steps = Steps()
    run = load_recipe(recipe)
    store = Warehouse.open(warehouse or home() / "warehouse")
    if decisions is not None:
        read_decisions(decisions)  # a file that cannot be read is refused before hours of training
    with (
        one_thread(),
        engine_named(engine),
        train_candidate(run, store, home(), steps) as (candidate, tracker),
    ):
        if as_json:
            typer.echo(json.dumps(candidate.summary(), indent=1))
        if decisions is not None:
            _rivals(decisions, store, run, stem=f"rivals-{candidate.number}")
        if promote_it:
            promote_candidate(candidate, home(), tracker, steps)


def _rivals(decisions: Path, store: Warehouse, run: Recipe, *, stem: str) -> None:
    """Judge inspectors' decisions beside a training and keep the report."""
    from features.home import home
    from training.pages.page import write_page
    from training.progress import Steps
    from training.studies.pages.rivals import rivals_page
    from training.studies.rivals import judge_decisions

    found = judge_decisions(
        decisions, store, horizon_months=run.horizon_months, policy=run.read_policy()
    )
    page = rivals_page(found)
    path = write_page(page, found, home() / "reports", stem=stem)
    Steps().say(f"Inspectors' overrides: {page.advice[0]} Report: {path}")


@app.command()
def promote(
    candidate: CandidateOption = None,
    head: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Ask for this head by name; refused if it was."),
    ] = None,
    accept_unjudged: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="REASON", help="Accept what cannot be said; the reason is kept."),
    ] = None,
    without_compliance: Annotated[
        bool,
        typer.Option("--without-compliance", help="Accept a bundle without its compliance head."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a candidate in force if every gate passes, or refuse and say which did not.

    A gate has three verdicts: passed, refused, and cannot be said, where the data are too few to
    tell; the last needs --accept-unjudged with a reason. The champion is judged anew on the
    candidate's rows. Promoting what is in force changes nothing.

    Exit code 5 when a gate refuses; nothing has changed then. The change itself is one atomic
    step, safe under two promotions at once and a kill at any moment. What each gate found is kept
    as ``reports/gates-NUMBER.html`` and ``.json``. BentoML's model store then has the champion.
    """
    import json

    from features.home import home
    from training.commands.promote import promote_candidate
    from training.evaluation.candidate import open_candidate
    from training.progress import Steps
    from training.registry.tracker import Tracker

    chosen = open_candidate(home(), candidate)
    with Tracker() as tracker:
        champion = promote_candidate(
            chosen,
            home(),
            tracker,
            Steps(),
            head=head,
            accept_unjudged=accept_unjudged,
            without_compliance=without_compliance,
        )
    if as_json:
        typer.echo(json.dumps(champion.entry(), indent=1))


@app.command()
def rollback(as_json: JsonOption = False) -> None:
    """Put the champion before this one back in force.

    What was in force and what is now are kept as ``reports/rollback.html`` and ``.json``.
    """
    from features.home import home
    from training.commands.output import tell
    from training.commands.promote import keep_model, rollback_page
    from training.progress import Steps
    from training.registry.promotion import promotion_lock, read_champion, reconcile, roll_back
    from training.registry.tracker import Tracker

    steps = Steps()
    with Tracker() as tracker, promotion_lock(home()), steps.step("roll back"):
        reconcile(home(), tracker)
        before = read_champion(home())
        champion = roll_back(home(), tracker)
        keep_model(home(), champion, steps)
    steps.say(f"In force again: {champion.name} version {champion.version}")
    found = {**champion.entry(), "before": None if before is None else before.entry()}
    tell(rollback_page(champion, before), found, stem="rollback", as_json=as_json)


@app.command()
def compare(
    candidate: CandidateOption = None,
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NUMBER", help="Another candidate. Default: the champion."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a candidate with the champion, or with another candidate, on the same judged rows.

    The report is kept as ``reports/compare-NUMBER-NUMBER.html`` and ``.json``.
    """
    from features.home import home
    from training.commands.output import tell
    from training.studies.comparison import compare_candidates
    from training.studies.pages.comparison import comparison_page

    found = compare_candidates(home(), candidate, against)
    stem = f"compare-{found['candidate']}-{found['against']}"
    tell(comparison_page(found), found, stem=stem, as_json=as_json)


@app.command()
def backtest(
    recipe: RecipeOption = "country",
    truth: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="PATH", help="The truth folder of a simulated country."),
    ] = None,
    dates: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="N", help="Judge the last N dates. Default: the recipe's."),
    ] = None,
    budget: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="No further date is begun after this.")
    ] = 3600.0,
    with_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Fit on parts of the labels as well.")
    ] = False,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the model as shipped, the model trained naively and every simple rule.

    Each test date is judged by a model that stands at it: what it finds, per visit and per
    investigator-hour, how stable its lists are, and what the list would yield, estimated in
    several ways side by side, because past inspections were chosen. With --truth (simulated
    countries only) the true yields stand beside them. Judged dates are kept: an interrupted
    backtest goes on where it stopped. The report is ``reports/backtest-RECIPE.html``.
    """
    from features.home import home
    from features.warehouse import Warehouse
    from training.commands.output import tell
    from training.progress import Steps, one_thread
    from training.recipe import load_recipe
    from training.registry.tracker import Tracker
    from training.studies import tracked
    from training.studies.backtest import backtest as judge
    from training.studies.pages.backtest import backtest_page

    store = Warehouse.open(warehouse or home() / "warehouse")
    run = load_recipe(recipe)
    with Tracker() as tracker, one_thread():
        found = judge(
            run,
            store,
            Steps(),
            truth=truth,
            n_dates=dates,
            kept=home() / "backtests",
            budget_s=budget,
            with_curve=with_curve,
        )
        stem, period = f"backtest-{run.name}", str(found["dates"][-1]["as_of"])
        page = tell(backtest_page(found), found, stem=stem, as_json=as_json, period=period)
        tracked.keep_run(tracked.of_backtest, found, page, tracker)


@app.command()
def indicators(
    recipe: RecipeOption = "country",
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Assess each indicator and family against what inspections found.

    Alone and added to the rest, weighted for who was chosen and on the random share, by year and
    division, with intervals. The report is kept as ``reports/indicators.html`` and ``.json``, and
    under its last year as well.
    """
    from features.home import home
    from features.warehouse import Warehouse
    from training.commands.output import tell
    from training.progress import Steps, one_thread
    from training.recipe import load_recipe
    from training.registry.tracker import Tracker
    from training.studies import tracked
    from training.studies.indicators import indicators as assess
    from training.studies.pages.indicators import indicators_page

    store = Warehouse.open(warehouse or home() / "warehouse")
    with Tracker() as tracker, one_thread():
        found = assess(load_recipe(recipe), store, Steps())
        page = indicators_page(found)
        period = str(found["last_year"])
        path = tell(page, found, stem="indicators", as_json=as_json, period=period)
        tracked.keep_run(tracked.of_indicators, found, path, tracker)


@app.command()
def fairness(candidate: CandidateOption = None, as_json: JsonOption = False) -> None:
    """Show who is listed and who is missed, by group, with the reason for each gap.

    A gap comes from the base rate, from the model, or is none; groups with few findings are not
    judged. The report is kept as ``reports/fairness-NUMBER.html`` and ``.json``.
    """
    from features.home import home
    from training.commands.output import tell
    from training.evaluation.candidate import open_candidate
    from training.studies.fairness import fairness as report
    from training.studies.pages.fairness import fairness_page

    chosen = open_candidate(home(), candidate)
    found = {"candidate": chosen.number, "heads": report(chosen)}
    tell(fairness_page(found), found, stem=f"fairness-{chosen.number}", as_json=as_json)


@app.command()
def drift(
    as_of: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Stand on this day."),
    ],
    is_check: Annotated[
        bool,
        typer.Option("--check", help="Exit code 5 when something is to be done, for schedulers."),
    ] = False,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare signals and scores as of a day with what the champion was trained on.

    Says what to do: nothing, watch, check a source (it names the table), or train again. The
    report is kept as ``reports/drift.html`` and ``.json``, and under its day as well.
    """
    from features.home import home
    from features.warehouse import Warehouse
    from training.commands.output import tell
    from training.errors import DriftError
    from training.progress import Steps, one_thread
    from training.registry.tracker import Tracker
    from training.studies import tracked
    from training.studies.drift import drift_as_of
    from training.studies.pages.drift import drift_page

    store = Warehouse.open(warehouse or home() / "warehouse")
    with Tracker() as tracker, one_thread():
        found = drift_as_of(home(), store, as_of.date(), Steps())
        page = drift_page(found)
        path = tell(page, found, stem="drift", as_json=as_json, period=found["as_of"])
        tracked.keep_run(tracked.of_drift, found, path, tracker)
    if is_check and found["advice"] in ("check the source", "train again"):
        raise DriftError(
            f"Something is to be done: {found['advice']}.",
            found=" ".join(found["what_to_do"]),
            fix="see reports/drift.html",
        )


@app.command()
def rivals(
    decisions: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Decisions kept by the service, as CSV or Parquet."),
    ],
    horizon: Annotated[
        int, typer.Option(min=1, metavar="MONTHS", help="Inspections this long after count.")
    ] = 12,
    recipe: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Its policy says what is severe; else the champion's."),
    ] = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge inspectors' overrides as a rival of the list, by what inspections found later.

    The file holds dealer, decision (accept or override), reason, priority and at, and list_id
    where there are several lists. The report is kept as ``reports/rivals.html`` and ``.json``.
    """
    from features.home import home
    from features.warehouse import Warehouse
    from training.commands.output import tell
    from training.progress import Steps
    from training.recipe import load_recipe
    from training.registry.promotion import policy_in_force
    from training.studies.pages.rivals import rivals_page
    from training.studies.rivals import judge_decisions

    store = Warehouse.open(warehouse or home() / "warehouse")
    policy = load_recipe(recipe).read_policy() if recipe else policy_in_force(home())
    with Steps().step("outcomes"):
        found = judge_decisions(decisions, store, horizon_months=horizon, policy=policy)
    tell(rivals_page(found), found, stem="rivals", as_json=as_json)


@app.command()
def search(
    recipe: RecipeOption = "country",
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="No trial is begun after this.")
    ] = 300.0,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for better parameters of the compliance head, inside the training window only.

    Trials are kept: an interrupted search goes on where it stopped. The best parameters are to be
    reviewed and written into a recipe. The report is ``reports/search-RECIPE.html``.
    """
    from features.home import home
    from features.warehouse import Warehouse
    from training.commands.output import tell
    from training.progress import Steps, one_thread
    from training.recipe import load_recipe
    from training.registry.tracker import Tracker
    from training.studies import tracked
    from training.studies.pages.search import search_page
    from training.studies.search import search_compliance

    store = Warehouse.open(warehouse or home() / "warehouse")
    run = load_recipe(recipe)
    with Tracker() as tracker, one_thread():
        found = search_compliance(run, store, home(), Steps(), budget_s=budget)
        page, stem = search_page(found), f"search-{run.name}"
        path = tell(page, found, stem=stem, as_json=as_json, period=found["trained_on"])
        tracked.keep_run(tracked.of_search, found, path, tracker)


@app.command("warm-up")
def warm_up_command() -> None:
    """Compile the kernels of signals and explanations, once after an installation.

    Without it the first command that needs them does it and takes some seconds longer.
    """
    from training.commands.warm_up import warm_up
    from training.progress import Steps

    steps = Steps()
    warm_up(steps.say)
    steps.say("ready")


app.command()(rehearse)
app.command()(adopt)
