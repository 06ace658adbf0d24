"""``spectf-cloud cloud-eval``: models against labelled spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectf_cloud.cli.data_options import TrustInput
from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose
from spectf_cloud.errors import UsageError

if TYPE_CHECKING:
    from spectf_cloud.data.spectra import Spectra
    from spectf_cloud.scoring.scores import Report, Scorer

app = typer.Typer(no_args_is_help=True, help="Score models and the rule-based mask on labelled spectra.")

_SPECTF, _L2A, _RESNET, _XGBOOST, _COMPARE = (
    f"SPECTF_EVAL_{name}_" for name in ("SPECTF", "L2A", "RESNET", "XGBOOST", "COMPARE")
)
_TEST_CSV = "Scenes to score, one FID a line; default: all."
Outdir = Annotated[Path | None, typer.Option(help="Folder for report.json, report.md and report.html.")]
Draws = Annotated[int, typer.Option(min=2, help="Bootstrap samples of scenes for the intervals.")]
Gpu = Annotated[int, typer.Option(help="GPU number; -1 is the CPU.")]
Block = Annotated[int, typer.Option(min=1, help="Spectra read at a time.")]
Thresh = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help="Cloud above this probability; default: the model's own.")
]


@app.command()
def spectf(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.", envvar=f"{_SPECTF}DATASET")],
    weights: Annotated[
        str, typer.Option(help="Path, 'builtin' or 'official:v0.1.0'.", envvar=f"{_SPECTF}WEIGHTS")
    ] = "builtin",
    test_csv: Annotated[Path | None, typer.Option(help=_TEST_CSV, envvar=f"{_SPECTF}TEST_CSV")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Spectra read at a time.", envvar=f"{_SPECTF}BATCH")] = 1024,
    gpu: Annotated[int, typer.Option(help="GPU number; -1 is the CPU.", envvar=f"{_SPECTF}GPU")] = -1,
    arch_ff: Annotated[
        int | None, typer.Option(min=1, help="Else as the weights' card says.", envvar=f"{_SPECTF}ARCH_FF")
    ] = None,
    arch_heads: Annotated[
        int | None, typer.Option(min=1, help="Else as the weights' card says.", envvar=f"{_SPECTF}ARCH_HEADS")
    ] = None,
    arch_proj_dim: Annotated[
        int | None, typer.Option(min=1, help="Else as the weights' card says.", envvar=f"{_SPECTF}ARCH_PROJ_DIM")
    ] = None,
    thresh: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Cloud above this probability; default: the weights' own.", envvar=f"{_SPECTF}THRESH"
        ),
    ] = None,
    outdir: Outdir = None,
    draws: Draws = 500,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score SpecTf weights."""
    reporter = Reporter(json, quiet, verbose)
    asked = {"dim_ff": arch_ff, "num_heads": arch_heads, "dim_proj": arch_proj_dim}
    given = {name: value for name, value in asked.items() if value is not None}

    def scorers(spectra: Spectra) -> list[Scorer]:
        return [_spectf(spectra, weights, gpu, thresh, given)]

    _evaluate(reporter, dataset, test_csv, scorers, outdir, batch, draws, overwrite, trust_input)


@app.command()
def l2a(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.", envvar=f"{_L2A}DATASET")],
    test_csv: Annotated[Path | None, typer.Option(help=_TEST_CSV, envvar=f"{_L2A}TEST_CSV")] = None,
    batch: Block = 16384,
    outdir: Outdir = None,
    draws: Draws = 500,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score the rule-based cloud and cirrus flags of the L2A mask."""
    reporter = Reporter(json, quiet, verbose)
    _evaluate(
        reporter, dataset, test_csv, lambda spectra: [_l2a(spectra)], outdir, batch, draws, overwrite, trust_input
    )


@app.command()
def resnet(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.", envvar=f"{_RESNET}DATASET")],
    weights: Annotated[Path, typer.Option(help="resnet.pt with its card.", envvar=f"{_RESNET}WEIGHTS")],
    test_csv: Annotated[Path | None, typer.Option(help=_TEST_CSV, envvar=f"{_RESNET}TEST_CSV")] = None,
    batch: Block = 16384,
    gpu: Gpu = -1,
    thresh: Thresh = None,
    outdir: Outdir = None,
    draws: Draws = 500,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score a trained ResNet."""
    reporter = Reporter(json, quiet, verbose)

    def scorers(spectra: Spectra) -> list[Scorer]:
        return [_comparison(spectra, weights, gpu, thresh)]

    _evaluate(reporter, dataset, test_csv, scorers, outdir, batch, draws, overwrite, trust_input)


@app.command()
def xgboost(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.", envvar=f"{_XGBOOST}DATASET")],
    weights: Annotated[Path, typer.Option(help="xgboost.json, ours or published.", envvar=f"{_XGBOOST}WEIGHTS")],
    test_csv: Annotated[Path | None, typer.Option(help=_TEST_CSV, envvar=f"{_XGBOOST}TEST_CSV")] = None,
    batch: Block = 16384,
    thresh: Thresh = None,
    outdir: Outdir = None,
    draws: Draws = 500,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score boosted trees."""
    reporter = Reporter(json, quiet, verbose)

    def scorers(spectra: Spectra) -> list[Scorer]:
        return [_comparison(spectra, weights, -1, thresh)]

    _evaluate(reporter, dataset, test_csv, scorers, outdir, batch, draws, overwrite, trust_input)


@app.command()
def compare(
    dataset: Annotated[list[Path], typer.Argument(help="HDF5 files of labelled spectra.", envvar=f"{_COMPARE}DATASET")],
    test_csv: Annotated[Path | None, typer.Option(help=_TEST_CSV, envvar=f"{_COMPARE}TEST_CSV")] = None,
    spectf: Annotated[list[str] | None, typer.Option(help="SpecTf weights; may be given several times.")] = None,
    resnet: Annotated[list[Path] | None, typer.Option(help="Trained ResNet.")] = None,
    xgboost: Annotated[list[Path] | None, typer.Option(help="Boosted trees.")] = None,
    l2a: Annotated[bool, typer.Option("--l2a", help="The rule-based flags.")] = False,
    batch: Block = 16384,
    gpu: Gpu = -1,
    outdir: Outdir = None,
    draws: Draws = 500,
    trust_input: TrustInput = False,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score several models on the same spectra, in one report."""
    reporter = Reporter(json, quiet, verbose)
    if not (spectf or resnet or xgboost or l2a):
        raise UsageError("name at least one of --spectf WEIGHTS, --resnet FILE, --xgboost FILE, --l2a")

    def scorers(spectra: Spectra) -> list[Scorer]:
        found = [_spectf(spectra, weights, gpu, None, {}) for weights in spectf or []]
        found += [_comparison(spectra, path, gpu, None) for path in [*(resnet or []), *(xgboost or [])]]
        return _distinct(found + ([_l2a(spectra)] if l2a else []))

    _evaluate(reporter, dataset, test_csv, scorers, outdir, batch, draws, overwrite, trust_input)


def _spectf(spectra: Spectra, weights: str, gpu: int, thresh: float | None, given: dict[str, Any]) -> Scorer:
    from spectf_cloud.architecture import Architecture
    from spectf_cloud.data.spectra_irradiance import check_same_irradiance
    from spectf_cloud.inference.predict import pick_backend
    from spectf_cloud.models.load import load_model
    from spectf_cloud.readers.irradiance import irradiance_of_weights
    from spectf_cloud.scoring.scores import Scorer
    from spectf_cloud.weights import find_weights

    found = find_weights(weights)
    check_same_irradiance(found.name, irradiance_of_weights(found), spectra.files)
    architecture = replace(found.architecture or Architecture(), **given) if given else None
    model = load_model(found, spectra.wavelength_nm, architecture)
    threshold = found.threshold if thresh is None else thresh
    backend = pick_backend(model, device=gpu, threshold=threshold)
    return Scorer(f"SpecTf {found.name}", backend, threshold, found.path, found.sha256)


def _comparison(spectra: Spectra, path: Path, gpu: int, thresh: float | None) -> Scorer:
    from spectf_cloud.data.spectra_irradiance import check_same_irradiance
    from spectf_cloud.inference.comparison import load_comparison
    from spectf_cloud.scoring.scores import Scorer

    model = load_comparison(path, spectra.wavelength_nm, gpu)
    check_same_irradiance(str(path), model.irradiance, spectra.files)
    name = {"resnet": "ResNet", "xgboost": "XGBoost"}[model.kind]
    return Scorer(name, model.backend, model.threshold if thresh is None else thresh, model.path, model.sha256)


def _l2a(spectra: Spectra) -> Scorer:
    from spectf_cloud.models.rules.l2a import L2aRule
    from spectf_cloud.scoring.scores import Scorer

    return Scorer("L2A rules", L2aRule(spectra.wavelength_nm), 0.5)


def _distinct(scorers: list[Scorer]) -> list[Scorer]:
    """Two of one name get numbers, so that a table can tell them apart."""
    seen: dict[str, int] = {}
    named = []
    for scorer in scorers:
        seen[scorer.name] = seen.get(scorer.name, 0) + 1
        number = seen[scorer.name]
        named.append(replace(scorer, name=f"{scorer.name} ({number})") if number > 1 else scorer)
    return named


def _evaluate(
    reporter: Reporter,
    dataset: list[Path],
    test_csv: Path | None,
    scorers: Callable[[Spectra], list[Scorer]],
    outdir: Path | None,
    block: int,
    draws: int,
    overwrite: bool,
    trust: bool,
) -> None:
    import numpy as np

    from spectf_cloud.data.spectra import open_spectra
    from spectf_cloud.data.spectra_check import doubts_of_labels, settle
    from spectf_cloud.data.split import read_fids
    from spectf_cloud.scoring.report import check_outdir, write_report
    from spectf_cloud.scoring.scores import evaluate

    if outdir is not None:
        check_outdir(outdir, overwrite=overwrite)
    spectra = open_spectra(dataset, trust=trust)
    rows = np.arange(len(spectra)) if test_csv is None else spectra.rows_of(read_fids(test_csv, spectra.fids))
    settle(doubts_of_labels(f"{test_csv or dataset[0]}: the scenes", spectra.labels[rows]), trust=True)
    with reporter.progress("scoring", "spectra") as progress:
        report = evaluate(spectra, rows, scorers(spectra), block=block, draws=draws, progress=progress)
    paths = write_report(report, outdir, overwrite=overwrite) if outdir is not None else {}
    scores = [{"name": m.name, "threshold": m.threshold, **m.scores} for m in report.models]
    if not reporter.json and not reporter.quiet:
        _show(report)
    reporter.done({"models": scores, "outputs": paths}, *(f"  {kind:<6}{path}" for kind, path in paths.items()))


def _show(report: Report) -> None:
    """Scores as a table, one model a column."""
    from rich.console import Console
    from rich.table import Table

    from spectf_cloud.scoring.tables import COLUMNS, number, shown_scores, summary

    table = Table(title=summary(report), title_justify="left", title_style="")
    table.add_column("")
    for model in report.models:
        table.add_column(model.name, justify="right")
    table.add_row("Threshold", *(f"{model.threshold:.3g}" for model in report.models))
    roomy = len(report.models) <= 3  # more columns with intervals do not fit a terminal; the report has them
    for name in shown_scores(report):
        cells = []
        for model in report.models:
            low, high = model.intervals.get(name, (float("nan"), float("nan")))
            between = f" [dim]{low:.3f}–{high:.3f}[/dim]" if low == low and roomy else ""
            cells.append(number(model.scores.get(name)) + between)
        table.add_row(COLUMNS[name], *cells)
    Console().print(table)
