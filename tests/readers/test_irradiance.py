"""Weights remember the solar irradiance of their data, and whoever uses them takes it or warns."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from spectra_files import make_rows, write_hdf5, write_split

import spectf_cloud as sc
from spectf_cloud import weights
from spectf_cloud.__main__ import main
from spectf_cloud.archive.fingerprint import recipe_of
from spectf_cloud.archive.job import Settings
from spectf_cloud.errors import InputError, WeightsError
from spectf_cloud.files.resources import resource
from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.mapping.explain import explain_pixel
from spectf_cloud.model import ModelConfig
from spectf_cloud.training.comparison import ComparisonConfig, train_comparison
from spectf_cloud.training.config import TrainConfig
from spectf_cloud.training.run import train
from spectf_cloud.weights import OFFICIAL_IRRADIANCE, find_weights, irradiance_for, sha256_of

from scene_files import arrays, write_emit

PUBLISHED_SHA256 = OFFICIAL_IRRADIANCE.sha256
ASTM_SHA256 = "6881c8bf7428987a6158a52088afe25131e2142479a7a8e9948c212b6e979933"
TINY = ModelConfig(num_heads=2, dim_proj=8, dim_ff=8)


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SPECTF_WEIGHTS_DIR", str(tmp_path / "no weights"))
    monkeypatch.setattr(logging.getLogger("spectf_cloud"), "propagate", True)  # commands turn it off
    caplog.set_level(logging.WARNING, "spectf_cloud")
    weights._warn_once.cache_clear()


@pytest.fixture
def sunlight(tmp_path):
    """An irradiance that nobody else has."""
    path = tmp_path / "sunlight.npy"
    np.save(path, np.load(resource("irr.npy")) * [1, 1.02])
    return path


def data(folder: Path, name: str = "spectra.h5", **attributes: str) -> Path:
    path = write_hdf5(folder / name, make_rows(scenes=6, per_scene=20))
    with h5py.File(path, "r+") as file:
        del file.attrs["irradiance"]
        file.attrs.update(attributes)
    return path


def config(folder: Path, *paths: Path, **options) -> TrainConfig:
    split = write_split(folder, make_rows(scenes=6, per_scene=20))
    return TrainConfig(paths, *split, outdir=folder / "run", epochs=1, architecture=TINY, batch=64, **options)


def card(run: Path) -> dict:
    return yaml.safe_load((run / "weights.yml").read_text())["irradiance"]


def test_the_card_says_what_the_options_say(tmp_path, sunlight, caplog):
    for stated, expected in (
        ("published", {"name": "published", "sha256": PUBLISHED_SHA256}),
        ("astm-g173", {"name": "astm-g173", "sha256": ASTM_SHA256}),
        ("builtin", {"name": "published", "sha256": PUBLISHED_SHA256}),
        ("official", {"name": "published", "sha256": PUBLISHED_SHA256}),
        (str(resource("irr.npy")), {"name": "published", "sha256": PUBLISHED_SHA256}),
        (str(sunlight), {"name": "sunlight.npy", "sha256": sha256_of(sunlight), "file": "irradiance.npy"}),
    ):
        report = train(config(tmp_path, data(tmp_path), irradiance=stated, overwrite=True))
        assert card(report.weights.parent) == expected
    assert not caplog.text
    # The last one's file lies beside the weights and goes with them wherever they go.
    sunlight.unlink()
    moved = shutil.move(report.weights.parent, tmp_path / "elsewhere")
    found = find_weights(Path(moved) / "weights.pt")
    assert irradiance_for(found) == Path(moved) / "irradiance.npy" and not caplog.text
    with pytest.raises(InputError, match="no such solar irradiance"):
        train(config(tmp_path, data(tmp_path), irradiance="nowhere.npy"))


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("mine.h5", {"irradiance": "astm-g173"}, ASTM_SHA256),
        ("mine.h5", {"irradiance": "Kurucz", "irradiance_sha256": "AB" * 32}, "ab" * 32),
        ("mine.h5", {"irradiance_sha256": OFFICIAL_IRRADIANCE.sha256}, OFFICIAL_IRRADIANCE.sha256),
        ("spectf_cloud_lbox.hdf5", {}, OFFICIAL_IRRADIANCE.sha256),
        ("spectf_cloud_mmgis_2.hdf5", {}, OFFICIAL_IRRADIANCE.sha256),
        ("spectf_cloud_mmgis.hdf5", {"irradiance": "astm-g173"}, ASTM_SHA256),
    ],
)
def test_the_card_says_what_the_data_say(tmp_path, caplog, name, attributes, expected):
    run = train(config(tmp_path, data(tmp_path, name, **attributes))).weights.parent
    assert card(run)["sha256"] == expected and not caplog.text


@pytest.mark.parametrize(
    "attributes", [{"irradiance": "builtin"}, {"irradiance": "Kurucz"}, {"irradiance_sha256": "12"}]
)
def test_attributes_that_do_not_say_which_are_named(tmp_path, attributes):
    with pytest.raises(InputError, match=f"attribute {next(iter(attributes))} "):
        sc.open_spectra(data(tmp_path, **attributes))


def test_what_is_not_known_or_contradicts_is_said(tmp_path, caplog):
    silent, one = data(tmp_path), data(tmp_path, "one.h5", irradiance="astm-g173")
    other = data(tmp_path, "other.h5", irradiance="official")
    with pytest.raises(InputError, match=r"does not say which .* --irradiance published, --irradiance astm-g173"):
        train(config(tmp_path, silent))
    assert card(train(config(tmp_path, one, other, overwrite=True)).weights.parent) == {"name": "unknown"}
    assert "different irradiances" in caplog.text
    caplog.clear()
    assert card(train(config(tmp_path, one, silent, overwrite=True)).weights.parent)["name"] == "astm-g173"
    assert f"{silent} does not say its solar irradiance; that of the others is used: astm-g173" in caplog.text
    caplog.clear()
    stated = config(tmp_path, one, other, overwrite=True, irradiance="official")
    assert card(train(stated).weights.parent)["name"] == "published"
    assert "one.h5 says that it was made with the irradiance astm-g173" in caplog.text and "other.h5" not in caplog.text


def test_resuming_and_fine_tuning_keep_it(tmp_path, sunlight, caplog):
    first = config(tmp_path, data(tmp_path), irradiance=str(sunlight))
    train(first)
    expected = card(first.outdir)
    sunlight.unlink()
    train(replace(first, irradiance=None, resume=True, epochs=2))
    assert card(first.outdir) == expected and not caplog.text
    train(replace(first, irradiance="official", resume=True, epochs=3))  # one may learn it later
    assert card(first.outdir)["name"] == "published"
    tuned = replace(first, irradiance=None, init=str(first.outdir / "weights.pt"), outdir=tmp_path / "tuned")
    train(tuned)
    assert card(tuned.outdir)["sha256"] == OFFICIAL_IRRADIANCE.sha256 and "that of --init is used" in caplog.text
    caplog.clear()
    train(replace(tuned, irradiance="astm-g173", overwrite=True))
    assert (
        card(tuned.outdir)["name"] == "astm-g173" and "--init was trained with the irradiance published" in caplog.text
    )


def weights_with(folder: Path, told: object) -> Path:
    torch.manual_seed(0)
    path = folder / "mine.pt"
    torch.save(TINY.build(np.linspace(400, 2400, 24)).state_dict(), path)
    described = {"name": "mine", "architecture": {"num_heads": 2, "dim_proj": 8, "dim_ff": 8}}
    if told is not None:
        described["irradiance"] = told
    path.with_suffix(".yml").write_text(yaml.safe_dump(described))
    return path


@pytest.mark.parametrize("place", ["bundled", "beside", "named"])
def test_an_irradiance_is_found_where_it_may_lie(tmp_path, sunlight, monkeypatch, caplog, place):
    folder = tmp_path / "v1"
    folder.mkdir()
    source = resource("irr.npy") if place == "bundled" else sunlight
    target = {
        "bundled": resource("irr.npy"),
        "beside": folder / "irradiance.npy",
        "named": folder / "kurucz.npy",
    }[place]
    monkeypatch.setenv("SPECTF_WEIGHTS_DIR", str(tmp_path / "cached"))
    if target != source:
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
    found = find_weights(weights_with(folder, {"name": "kurucz.npy", "sha256": sha256_of(source).upper()}))
    assert irradiance_for(found) == target and not caplog.text


def uses(path: Path, folder: Path):
    """Each way to use weights on a scene, by name."""
    scene = sc.open_scene(*write_emit(folder, arrays()))
    return {
        "mask": lambda: sc.mask_scene(scene, weights=path),
        "explain": lambda: explain_pixel(scene, 0, 0, weights=path),
        "many": lambda: recipe_of(Settings(MaskOptions(weights=path))),
    }


def of_irradiance(caplog):
    """What was said about it; that these scenes have few bands is said too."""
    return [text for text in caplog.messages if "bands are used" not in text]


@pytest.mark.parametrize("way", ["mask", "explain", "many"])
@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            {"name": "Kurucz", "sha256": "ab" * 32},
            ["Kurucz, sha256 abababababab", "--irradiance FILE", "irradiance.npy"],
        ),
    ],
)
def test_every_use_without_the_right_irradiance_warns(tmp_path, caplog, way, told, words):
    uses(weights_with(tmp_path, told), tmp_path)[way]()
    (said,) = of_irradiance(caplog)
    assert all(word in said for word in words)


@pytest.mark.parametrize("way", ["mask", "explain", "many"])
@pytest.mark.parametrize("told", [None, {"name": "unknown"}])
def test_weights_that_do_not_name_theirs_are_refused(tmp_path, way, told):
    with pytest.raises(WeightsError, match="--irradiance published, --irradiance astm-g173"):
        uses(weights_with(tmp_path, told), tmp_path)[way]()


@pytest.mark.parametrize(("sha256", "file"), [(PUBLISHED_SHA256, "irr.npy"), (ASTM_SHA256, "irr_astm_g173.npy")])
def test_bundled_irradiances_are_used_without_being_named(tmp_path, caplog, sha256, file):
    path = weights_with(tmp_path, {"name": "builtin", "sha256": sha256})
    assert irradiance_for(find_weights(path)) == resource(file) and not caplog.text


def test_the_right_irradiance_gives_the_mask_that_it_gives_by_hand(tmp_path, sunlight, caplog):
    scene = sc.open_scene(*write_emit(tmp_path, arrays()))
    path = weights_with(tmp_path, {"file": "irradiance.npy", "sha256": sha256_of(sunlight)})
    by_hand = sc.mask_scene(scene, weights=path, irradiance=sunlight)
    shutil.copy(sunlight, tmp_path / "irradiance.npy")
    assert not of_irradiance(caplog)
    own = sc.mask_scene(scene, weights=path)
    assert np.array_equal(own.probability, by_hand.probability) and not of_irradiance(caplog)
    assert own.tags["SPECTF_IRRADIANCE_SHA256"] == sha256_of(sunlight)
    bundled = sc.mask_scene(scene, weights=path, irradiance=resource("irr.npy"))
    assert not np.array_equal(own.probability, bundled.probability) and "another irradiance" in caplog.text


@pytest.mark.parametrize("told", ["builtin", [1], {"sha256": "xyz"}, {"sha256": 5}])
def test_a_card_that_does_not_make_sense_is_named(tmp_path, told):
    with pytest.raises(WeightsError, match=r"mine\.yml: irradiance"):
        find_weights(weights_with(tmp_path, told))


def test_comparison_models_keep_it_and_cloud_eval_compares_it(tmp_path, capsys):
    path, split = data(tmp_path, irradiance="astm-g173"), write_split(tmp_path, make_rows(scenes=6, per_scene=20))
    trees = ComparisonConfig("xgboost", (path,), *split, outdir=tmp_path / "trees", irradiance="official")
    model = train_comparison(trees).model
    assert yaml.safe_load(model.with_suffix(".yml").read_text())["irradiance"]["name"] == "published"
    assert main(["cloud-eval", "xgboost", str(path), "--draws", "2", "--weights", str(model)]) == 0
    assert "xgboost.json was trained with published" in capsys.readouterr().err


@pytest.mark.parametrize("told", ["astm-g173", "published", None])
def test_cloud_eval_warns_only_where_both_are_known_and_differ(tmp_path, capsys, told):
    attributes = {} if told is None else {"irradiance": told}
    path = data(tmp_path, **attributes)
    other = str(weights_with(tmp_path, {"name": "official", "sha256": OFFICIAL_IRRADIANCE.sha256}))
    assert main(["cloud-eval", "spectf", str(path), "--draws", "2", "--weights", other]) == 0
    said = capsys.readouterr().err
    expected = "was made with the irradiance astm-g173 (sha256 6881c8bf7428…), but mine was trained with official"
    assert (expected in said) if told == "astm-g173" else ("irradiance" not in said)
