from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from spectra_files import make_rows, names, write_hdf5

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.errors import InputError
from spectf_cloud.files import extras
from spectf_cloud.model import ModelConfig
from spectf_cloud.models.rules.l2a import L2aRule
from spectf_cloud.scoring.html import to_html
from spectf_cloud.scoring.report import write_report
from spectf_cloud.scoring.scores import Scorer, evaluate
from spectf_cloud.scoring.tables import COLUMNS


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    return write_hdf5(tmp_path / "spectra.h5", make_rows(scenes=6, per_scene=50))


def brightness(toa):
    return np.clip(toa.mean(1), 0, 1).astype(np.float32)


def test_a_report_agrees_with_scikit_learn_and_with_its_parts(path):
    spectra = sc.open_spectra(path)
    rows = np.arange(len(spectra))
    scorers = [Scorer("bright", brightness, 0.4), Scorer("L2A", L2aRule(spectra.wavelength_nm), 0.5)]
    seen = []
    report = evaluate(spectra, rows, scorers, block=64, draws=50, progress=lambda *at: seen.append(at))
    assert seen[-1] == (300, 300) and len(seen) == 5
    bright = report.models[0]
    probability = brightness(spectra.take(rows))
    mask = probability > 0.4
    assert bright.scores["auc"] == pytest.approx(sk.roc_auc_score(spectra.cloud, probability), abs=1e-12)
    assert bright.scores["f0.25"] == pytest.approx(sk.fbeta_score(spectra.cloud, mask, beta=0.25), abs=1e-12)
    assert bright.scores["fpr_shadow"] == pytest.approx(mask[spectra.labels == 2].mean())
    assert sum(scene.false_cloud for scene in bright.scenes) == (mask & (spectra.cloud == 0)).sum()
    assert [scene.accuracy for scene in bright.worst_scenes(3)] == sorted(s.accuracy for s in bright.scenes)[:3]
    for name in ("accuracy", "auc", "f1"):
        low, high = bright.intervals[name]
        assert low <= bright.scores[name] <= high
    assert np.trapezoid(bright.roc["tpr"], bright.roc["fpr"]) == pytest.approx(bright.scores["auc"], abs=1e-3)
    at = bright.sweep["threshold"].index(0.4)
    assert bright.sweep["f1"][at] == pytest.approx(bright.scores["f1"])
    assert report.shadow == (spectra.labels == 2).sum() and report.scenes == 6
    with pytest.raises(InputError, match="no spectra"):
        evaluate(spectra, rows[:0], scorers)


class Page(HTMLParser):
    """Tags balanced, what the page refers to, and its tables as rows of cells; a cell is the list of its texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.references, self.counts, self.tables, self.titles = [], [], {}, [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.references += [value for name, value in attributes if name.split(":")[-1] in ("src", "href")]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append([])
        elif tag == "svg":
            self.titles.append(dict(attributes)["aria-label"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1].append(data)


def test_compare_writes_one_report_of_all_models(path, tmp_path, capsys):
    torch.manual_seed(0)
    weights = tmp_path / "w.pt"
    torch.save(ModelConfig().build(np.linspace(400, 2400, 24)).state_dict(), weights)
    out = tmp_path / "report"
    command = ["cloud-eval", "compare", str(path), "--spectf", str(weights), "--spectf", str(weights), "--l2a"]
    command += ["--outdir", str(out), "--draws", "20"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "L2A rules" in said and "report.html" in said and "AUC" in said
    content = json.loads((out / "report.json").read_text())
    assert [model["name"] for model in content["models"]] == ["SpecTf w.pt", "SpecTf w.pt (2)", "L2A rules"]
    html = (out / "report.html").read_text()
    page = Page(html)
    assert all(reference.startswith("#") for reference in page.references) and "<script" not in html
    assert "http" not in re.sub(r' xmlns(:\w+)?="[^"]*"', "", html)
    assert page.counts["svg"] == 4 + 3 and page.counts["details"] == 3
    assert not re.search(r"\bnan\b", html)
    markdown = (out / "report.md").read_text()
    assert "| L2A rules |" in markdown and "Worst scenes" in markdown
    assert main(command) == 1
    assert "overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["models"][2]["name"] == "L2A rules"


@pytest.fixture
def report(path):
    spectra = sc.open_spectra(path)
    scorers = [Scorer("bright <b>&$x$", brightness, 0.4), Scorer("L2A", L2aRule(spectra.wavelength_nm), 0.5)]
    return evaluate(spectra, np.arange(len(spectra)), scorers, draws=20)


def test_the_page_holds_every_number_of_the_report(report):
    page = Page(to_html(report))
    scores, best, *scenes = page.tables
    assert scores[0] == [[], *([model.name] for model in report.models)] == [[], ["bright <b>&$x$"], ["L2A"]]
    assert scores[1] == [["Threshold"], ["0.4"], ["0.5"]]
    shown = {row[0][0]: row[1:] for row in scores[2:]}
    for name, heading in COLUMNS.items():
        for model, cell in zip(report.models, shown[heading], strict=True):
            low_high = (
                [f"{low:.3f}–{high:.3f}" for low, high in [model.intervals[name]]] if name in model.intervals else []
            )
            assert cell == [f"{model.scores[name]:.4f}", *low_high]
    for model, row in zip(report.models, best[1:], strict=True):
        assert row == [[model.name], *([f"{value:.4f} at {at:.3f}"] for value, at in model.best.values())]
    for model, worst, everything in zip(report.models, scenes[:2], scenes[2:], strict=True):
        rows = [
            [s.fid, f"{s.spectra}", f"{s.cloudy}", f"{s.false_cloud}", f"{s.false_clear}", f"{s.accuracy:.4f}"]
            for s in model.worst_scenes(len(model.scenes))
        ]
        assert len(rows) == report.scenes
        assert [[cell for (cell,) in row] for row in everything[1:]] == rows
        assert [[cell for (cell,) in row] for row in worst[1:]] == rows[:10]
    assert page.titles[:3] == ["ROC", "ROC, upper left", "Precision and recall"]
    assert page.titles[4:] == [f"Threshold sweep: {model.name}" for model in report.models]
    assert to_html(report) == to_html(report)


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_what_needs_a_missing_extra_is_left_out_and_said(report, tmp_path, monkeypatch, caplog, missing):
    out = tmp_path / "out"
    write_report(report, out)
    extras._warn.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    paths = write_report(report, out, overwrite=True)
    extra = {"matplotlib": "plots", "jinja2": "report"}[missing]
    assert f"needs {missing}; install it with: pip install 'spectf-cloud[{extra}]'" in caplog.text
    assert json.loads(paths["json"].read_text())["spectra"] == 300
    assert {path.name for path in out.iterdir()} == {path.name for path in paths.values()}
    if missing == "matplotlib":
        page = Page(paths["html"].read_text())
        assert "svg" not in page.counts and len(page.tables) == 6 and "spectf-cloud[plots]" in paths["html"].read_text()
    else:
        assert set(paths) == {"json", "md"}


def test_single_commands_take_the_published_options(path, tmp_path, capsys, monkeypatch):
    fids = names(make_rows(scenes=6, per_scene=50))
    csv = tmp_path / "test.csv"
    csv.write_text("\n".join(fids[:2]))
    weights = tmp_path / "w.pt"
    torch.save(ModelConfig(dim_proj=16, num_heads=2, dim_ff=8).build(np.linspace(400, 2400, 24)).state_dict(), weights)
    monkeypatch.setenv("SPECTF_EVAL_SPECTF_THRESH", "0.3")
    architecture = ["--arch-ff", "8", "--arch-heads", "2", "--arch-proj-dim", "16"]
    command = ["cloud-eval", "spectf", str(path), "--weights", str(weights), "--test-csv", str(csv), *architecture]
    assert main([*command, "--batch", "64", "--gpu", "-1", "--json"]) == 0
    model = json.loads(capsys.readouterr().out.splitlines()[-1])["models"][0]
    assert model["threshold"] == 0.3
    assert main(["cloud-eval", "l2a", str(path), "--test-csv", str(csv)]) == 0
    assert "100 spectra of 2 scenes" in " ".join(capsys.readouterr().out.split())
    csv.write_text("elsewhere\n")
    assert main(["cloud-eval", "l2a", str(path), "--test-csv", str(csv)]) == 3
    assert main(["cloud-eval", "compare", str(path)]) == 2
