from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from spectra_files import BANDS_NM, make_rows, write_hdf5, write_split

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.errors import ConfigError, InputError, ModelError, WeightsError
from spectf_cloud.inference.comparison import ResNetBackend, is_comparison, load_comparison
from spectf_cloud.models.resnet import ResNet, ResNetConfig
from spectf_cloud.models.rules.l2a import L2aRule
from spectf_cloud.models.trees import TreesBackend


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    rows = make_rows(scenes=8, per_scene=60)
    return (write_hdf5(tmp_path / "spectra.h5", rows), *write_split(tmp_path, rows))


def arguments(data, out, kind, *more):
    path, train_csv, test_csv = (str(item) for item in data)
    base = ["train-comparison", kind, path, "--train-csv", train_csv, "--test-csv", test_csv, "--outdir", str(out)]
    return [*base, "--val-fraction", "0.3", *more]


def small_yaml(folder, kind="resnet", **architecture):
    path = folder / "arch.yml"
    path.write_text(yaml.safe_dump({"kind": kind, "architecture": architecture}))
    return str(path)


def test_the_published_trees_reproduce_their_golden_answers(reference):
    golden = np.load(reference / "golden" / "emit_spectra.npz")
    path = reference / "official" / "xgboost_reference.json"
    ours = load_comparison(path, golden["wavelength"]).backend(golden["toa_reflectance"])
    np.testing.assert_allclose(ours, golden["proba_xgboost"], atol=1e-6)
    through_predict = sc.predict(golden["toa_reflectance"], golden["wavelength"], weights=path)
    assert np.array_equal(through_predict, ours)
    with pytest.raises(InputError, match="268 bands, the spectra have 24"):
        load_comparison(path, BANDS_NM)


def test_resnet_trains_from_the_command_line_and_serves_predict(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RESNET_TRAIN_EPOCHS", "6")
    out = tmp_path / "out"
    more = ["--arch-yaml", small_yaml(tmp_path, channels=[4, 8], blocks=1, kernel=3), "--batch", "32", "--lr", "0.02"]
    assert main(arguments(data, out, "resnet", *more, "--json")) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events].count("epoch") == 6
    assert events[-1]["test"]["auc"] > 0.9
    spectra = sc.open_spectra(data[0])
    toa = spectra.take(np.arange(100))
    model = load_comparison(out / "resnet.pt", spectra.wavelength_nm)
    assert is_comparison(out / "resnet.pt") and model.threshold == events[-1]["threshold"]
    probability = sc.predict(toa, spectra.wavelength_nm, weights=out / "resnet.pt")
    assert np.array_equal(probability, model.backend(toa))
    with pytest.raises(InputError, match="other bands"):
        sc.predict(toa, spectra.wavelength_nm + 1, weights=out / "resnet.pt")
    assert main(arguments(data, out, "resnet", *more)) == 1
    assert "--overwrite" in capsys.readouterr().err
    (out / "resnet.pt").write_bytes(b"other")
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_comparison(out / "resnet.pt", spectra.wavelength_nm)
    (out / "resnet.yml").unlink()
    with pytest.raises(WeightsError, match="kind: resnet"):
        load_comparison(out / "resnet.pt", spectra.wavelength_nm)


def test_trees_train_as_xgboost_itself_would(data, tmp_path, capsys):
    import xgboost

    out = tmp_path / "out"
    yaml_path = small_yaml(tmp_path, "xgboost", n_estimators=12, max_depth=3)
    assert main(arguments(data, out, "xgboost", "--arch-yaml", yaml_path)) == 0
    assert "AUC" in capsys.readouterr().out
    spectra = sc.open_spectra(data[0])
    model = load_comparison(out / "xgboost.json", spectra.wavelength_nm)
    card = yaml.safe_load((out / "xgboost.yml").read_text())
    rows = spectra.rows_of(card["scenes"]["train"])
    whole = xgboost.XGBClassifier(n_estimators=12, max_depth=3, tree_method="hist", random_state=42)
    whole.fit(spectra.take(rows), spectra.cloud[rows])
    everything = spectra.take(np.arange(len(spectra)))
    np.testing.assert_allclose(model.backend(everything), whole.predict_proba(everything)[:, 1], atol=0.1)
    assert card["test"]["auc"] > 0.95
    assert len(model.backend(everything[:0])) == 0


def test_bad_descriptions_and_files(data, tmp_path):
    with pytest.raises(ModelError, match="unknown architecture keys width"):
        ResNetConfig.from_mapping({"width": 3})
    for wrong in ({"channels": []}, {"kernel": 4}, {"dropout": 1.0}, {"blocks": 0}):
        with pytest.raises(ModelError):
            ResNetConfig.from_mapping(wrong)
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(WeightsError, match="is not an XGBoost model"):
        TreesBackend.load(broken, 24)
    with pytest.raises(WeightsError, match="no such model"):
        load_comparison(tmp_path / "none.json", BANDS_NM)
    broken.with_suffix(".yml").write_text("kind: xgboost\nthreshold: true\n")  # would be 1: a mask without cloud
    with pytest.raises(WeightsError, match="threshold must be a probability"):
        load_comparison(broken, BANDS_NM)
    assert (
        main(arguments(data, tmp_path / "o", "xgboost", "--arch-yaml", small_yaml(tmp_path))) == ConfigError.exit_code
    )


@pytest.mark.parametrize("bands", [24, 268])
def test_resnet_answers_each_spectrum_alone(bands):
    torch.manual_seed(0)
    backend = ResNetBackend(ResNet(ResNetConfig((4, 6), 2, 5, 0.5)), torch.device("cpu"))
    toa = np.random.default_rng(0).uniform(size=(30, bands)).astype(np.float32)
    whole = backend(toa)
    assert ((whole > 0) & (whole < 1)).all() and np.ptp(whole) > 0
    np.testing.assert_allclose(np.concatenate([backend(toa[i : i + 1]) for i in range(30)]), whole, atol=1e-6)


def test_l2a_rule_on_spectra_by_hand():
    wavelength = np.array([450.0, 900.0, 1250.0, 1380.0, 1650.0])
    rule = L2aRule(wavelength)
    toa = np.array(
        [
            [0.29, 0, 0.47, 0.0, 0.23],  # bright at all three
            [0.29, 0, 0.47, 0.0, 0.22],  # not above the last
            [0.27, 0, 0.47, 0.0, 0.23],
            [0.29, 0, 0.45, 0.0, 0.23],
            [0.0, 0, 0.0, 0.11, 0.0],  # cirrus
            [0.9, 0, 0.1, 0.1, 0.9],
        ],
        np.float32,
    )
    assert rule(toa).tolist() == [1, 0, 0, 0, 1, 0]
    with pytest.raises(InputError, match="1380 nm"):
        L2aRule(wavelength[[0, 1, 2, 4]])
