"""``spectf-cloud cloud-eval``: score models on labelled spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spectf_cloud.cli.fields import Shown, Table, takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.cli.spectra_options import DATASET, TrustInput
from spectf_cloud.errors import UsageError

if TYPE_CHECKING:
    from spectf_cloud.data.spectra import Spectra
    from spectf_cloud.scoring.scores import Report, Scorer

app = typer.Typer(no_args_is_help=True, help="Score models and the rule-based mask on labelled spectra.")


@dataclass(frozen=True)
class Evaluation:
    """What to score, and on which spectra; each command offers the fields that it needs."""

    dataset: tuple[Path, ...]
    test_csv: Path | None = None
    weights: str = "builtin"
    spectf: tuple[str, ...] = ()
    resnet: tuple[Path, ...] = ()
    xgboost: tuple[Path, ...] = ()
    l2a: bool = False
    batch: int = 16384
    gpu: int = -1
    arch_ff: int | None = None
    arch_heads: int | None = None
    arch_proj_dim: int | None = None
    thresh: float | None = None
    outdir: Path | None = None
    draws: int = 500
    trust_input: bool = False
    overwrite: bool = False


_AS_CARD = Shown("Default: as the weights' card says.", min=1)
_ROWS: Table = {
    "dataset": DATASET,
    "weights": Shown("Path, 'builtin' or 'official:v0.1.0'."),
    "test_csv": Shown("Scenes to score, one FID per line; default: all."),
    "spectf": Shown("SpecTf weights; can be given several times.", env=False),
    "resnet": Shown("Trained ResNet.", env=False),
    "xgboost": Shown("Boosted trees.", env=False),
    "l2a": Shown("The rule-based flags.", env=False),
    "batch": Shown("Spectra read at a time.", min=1, env=False),
    "gpu": Shown("GPU number; -1 is the CPU.", env=False),
    "arch_ff": _AS_CARD,
    "arch_heads": _AS_CARD,
    "arch_proj_dim": _AS_CARD,
    "thresh": Shown("Cloud above this probability; default: the model's own.", min=0.0, max=1.0, env=False),
    "outdir": Shown("Folder for report.json, report.md and report.html.", env=False),
    "draws": Shown("Bootstrap samples of scenes for the intervals.", min=2, env=False),
    "trust_input": TrustInput,
    "overwrite": Overwrite,
}


def _offered(names: str, **changed: Shown) -> Table:
    """Return the rows of these fields, and those that every command here has."""
    rows = {**_ROWS, **changed}
    return {name: rows[name] for name in f"dataset {names} outdir draws trust_input overwrite".split()}


_SPECTF = {name: replace(_ROWS[name], env=True) for name in ("batch", "gpu", "thresh")}
_SPECTF["batch"] = replace(_SPECTF["batch"], default=1024)


@app.command()
@takes(_offered("weights test_csv batch gpu arch_ff arch_heads arch_proj_dim thresh", **_SPECTF), "SPECTF_EVAL_SPECTF_")
def spectf(job: Evaluation, reporter: Reporter) -> None:
    """Score SpecTf weights."""
    _evaluate(job, reporter, lambda spectra: [_spectf(spectra, job.weights, job)])


@app.command()
@takes(_offered("test_csv batch"), "SPECTF_EVAL_L2A_")
def l2a(job: Evaluation, reporter: Reporter) -> None:
    """Score the rule-based cloud and cirrus flags of the L2A mask."""
    _evaluate(job, reporter, lambda spectra: [_l2a(spectra)])


@app.command()
@takes(
    _offered(
        "weights test_csv batch gpu thresh", weights=Shown("resnet.pt with its card.", type=Path, default=..., make=str)
    ),
    "SPECTF_EVAL_RESNET_",
)
def resnet(job: Evaluation, reporter: Reporter) -> None:
    """Score a trained ResNet."""
    _evaluate(job, reporter, lambda spectra: [_comparison(spectra, job.weights, job)])


@app.command()
@takes(
    _offered(
        "weights test_csv batch thresh",
        weights=Shown("xgboost.json, ours or published.", type=Path, default=..., make=str),
    ),
    "SPECTF_EVAL_XGBOOST_",
)
def xgboost(job: Evaluation, reporter: Reporter) -> None:
    """Score boosted trees."""
    _evaluate(job, reporter, lambda spectra: [_comparison(spectra, job.weights, job)])


@app.command()
@takes(_offered("test_csv spectf resnet xgboost l2a batch gpu"), "SPECTF_EVAL_COMPARE_")
def compare(job: Evaluation, reporter: Reporter) -> None:
    """Score several models on the same spectra, in one report."""
    if not (job.spectf or job.resnet or job.xgboost or job.l2a):
        raise UsageError("name at least one of --spectf WEIGHTS, --resnet FILE, --xgboost FILE, --l2a")

    def scorers(spectra: Spectra) -> list[Scorer]:
        found = [_spectf(spectra, weights, job) for weights in job.spectf]
        found += [_comparison(spectra, path, job) for path in (*job.resnet, *job.xgboost)]
        return _distinct(found + ([_l2a(spectra)] if job.l2a else []))

    _evaluate(job, reporter, scorers)


def _spectf(spectra: Spectra, weights: str, job: Evaluation) -> Scorer:
    from spectf_cloud.architecture import Architecture
    from spectf_cloud.data.spectra_irradiance import check_same_irradiance
    from spectf_cloud.inference.predict import pick_backend
    from spectf_cloud.models.load import load_model
    from spectf_cloud.readers.irradiance import irradiance_of_weights
    from spectf_cloud.scoring.scores import Scorer
    from spectf_cloud.weights import find_weights

    found = find_weights(weights)
    check_same_irradiance(found.name, irradiance_of_weights(found), spectra.files)
    shape: dict[str, Any] = {"dim_ff": job.arch_ff, "num_heads": job.arch_heads, "dim_proj": job.arch_proj_dim}
    given = {name: value for name, value in shape.items() if value is not None}
    architecture = replace(found.architecture or Architecture(), **given) if given else None
    model = load_model(found, spectra.wavelength_nm, architecture)
    threshold = found.threshold if job.thresh is None else job.thresh
    backend = pick_backend(model, device=job.gpu, threshold=threshold)
    return Scorer(f"SpecTf {found.name}", backend, threshold, found.path, found.sha256)


def _comparison(spectra: Spectra, path: str | Path, job: Evaluation) -> Scorer:
    from spectf_cloud.data.spectra_irradiance import check_same_irradiance
    from spectf_cloud.inference.comparison import load_comparison
    from spectf_cloud.scoring.scores import Scorer

    model = load_comparison(path, spectra.wavelength_nm, job.gpu)
    check_same_irradiance(str(path), model.irradiance, spectra.files)
    name = {"resnet": "ResNet", "xgboost": "XGBoost"}[model.kind]
    threshold = model.threshold if job.thresh is None else job.thresh
    return Scorer(name, model.backend, threshold, model.path, model.sha256)


def _l2a(spectra: Spectra) -> Scorer:
    from spectf_cloud.models.rules.l2a import L2aRule
    from spectf_cloud.scoring.scores import Scorer

    return Scorer("L2A rules", L2aRule(spectra.wavelength_nm), 0.5)


def _distinct(scorers: list[Scorer]) -> list[Scorer]:
    """Number scorers of the same name, so that a table can tell them apart."""
    seen: dict[str, int] = {}
    named = []
    for scorer in scorers:
        seen[scorer.name] = seen.get(scorer.name, 0) + 1
        number = seen[scorer.name]
        named.append(replace(scorer, name=f"{scorer.name} ({number})") if number > 1 else scorer)
    return named


def _evaluate(job: Evaluation, reporter: Reporter, scorers: Callable[[Spectra], list[Scorer]]) -> None:
    import numpy as np

    from spectf_cloud.data.spectra import open_spectra
    from spectf_cloud.data.spectra_check import doubts_of_labels, settle
    from spectf_cloud.data.split import read_fids
    from spectf_cloud.scoring.report import check_outdir, write_report
    from spectf_cloud.scoring.scores import evaluate

    if job.outdir is not None:
        check_outdir(job.outdir, overwrite=job.overwrite)
    spectra = open_spectra(job.dataset, trust=job.trust_input)
    rows = np.arange(len(spectra)) if job.test_csv is None else spectra.rows_of(read_fids(job.test_csv, spectra.fids))
    settle(doubts_of_labels(f"{job.test_csv or job.dataset[0]}: the scenes", spectra.labels[rows]), trust=True)
    with reporter.progress("scoring", "spectra") as progress:
        report = evaluate(spectra, rows, scorers(spectra), block=job.batch, draws=job.draws, progress=progress)
    paths = write_report(report, job.outdir, overwrite=job.overwrite) if job.outdir is not None else {}
    scores = [{"name": m.name, "threshold": m.threshold, **m.scores} for m in report.models]
    if not reporter.json and not reporter.quiet:
        _show(report)
    reporter.done({"models": scores, "outputs": paths}, *(f"  {kind:<6}{path}" for kind, path in paths.items()))


def _show(report: Report) -> None:
    """Print the scores as a table, one model per column."""
    from rich.console import Console
    from rich.table import Table

    from spectf_cloud.scoring.tables import COLUMNS, number, shown_scores, summary

    table = Table(title=summary(report), title_justify="left", title_style="")
    table.add_column("")
    for model in report.models:
        table.add_column(model.name, justify="right")
    table.add_row("Threshold", *(f"{model.threshold:.3g}" for model in report.models))
    roomy = len(report.models) <= 3  # more columns with intervals do not fit a terminal
    for name in shown_scores(report):
        cells = []
        for model in report.models:
            low, high = model.intervals.get(name, (float("nan"), float("nan")))
            between = f" [dim]{low:.3f}–{high:.3f}[/dim]" if low == low and roomy else ""
            cells.append(number(model.scores.get(name)) + between)
        table.add_row(COLUMNS[name], *cells)
    Console().print(table)
