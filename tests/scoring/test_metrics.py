from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from spectf_cloud.errors import UsageError
from spectf_cloud.scoring.metrics import BETAS, bootstrap, confusion_scores, f_name, rank, reliability, scene_confusions

# Few distinct values make ties; fine ones make none.
probabilities = st.one_of(st.integers(0, 8).map(lambda n: n / 8), st.floats(0, 1, allow_subnormal=False, width=32))
samples = st.lists(st.tuples(st.integers(0, 1), probabilities), min_size=2, max_size=80).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@settings(max_examples=300, deadline=None)
@given(samples, st.one_of(probabilities, st.just(0.51)))
def test_every_score_equals_scikit_learn(rows, threshold):
    cloud, probability = (np.array(column) for column in zip(*rows, strict=True))
    ranking = rank(cloud, probability)
    mask = probability > threshold
    ours = ranking.confusion(threshold).scores()
    theirs = {
        "accuracy": sk.accuracy_score(cloud, mask),
        "precision": sk.precision_score(cloud, mask, zero_division=0),
        "recall": sk.recall_score(cloud, mask),
        "tpr": np.mean(mask[cloud == 1]),
        "fpr": np.mean(mask[cloud == 0]),
    } | {f_name(beta): sk.fbeta_score(cloud, mask, beta=beta, zero_division=0) for beta in BETAS}
    assert ours == pytest.approx(theirs, abs=1e-12, rel=0)
    assert ranking.auc() == pytest.approx(sk.roc_auc_score(cloud, probability), abs=1e-12)
    assert ranking.average_precision() == pytest.approx(sk.average_precision_score(cloud, probability), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(samples, st.sampled_from(BETAS))
def test_best_f_is_the_largest_and_its_threshold_reaches_it(rows, beta):
    cloud, probability = (np.array(column) for column in zip(*rows, strict=True))
    best, threshold = rank(cloud, probability).best_f(beta)
    every = [sk.fbeta_score(cloud, probability >= p, beta=beta, zero_division=0) for p in set(probability)]
    assert best == pytest.approx(max(every), abs=1e-12)
    if probability.min() > 0 or threshold > 0:  # a mask of p > t cannot hold the spectra at exactly 0
        assert rank(cloud, probability).confusion(threshold).scores()[f_name(beta)] == pytest.approx(best, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(samples)
def test_reliability_equals_scikit_learn(rows):
    cloud, probability = (np.array(column) for column in zip(*rows, strict=True))
    ours = reliability(cloud, probability, bins=8)
    fraction, mean = calibration_curve(cloud, np.minimum(probability, 1 - 1e-9), n_bins=8)
    if not np.isin(probability * 8, range(1, 8)).any():  # on an edge, scikit-learn takes the lower bin
        used = ours.count > 0
        np.testing.assert_allclose(ours.cloud_fraction[used], fraction, atol=1e-12)
        np.testing.assert_allclose(ours.probability[used], mean, atol=1e-8)
    assert ours.count.sum() == len(cloud)


def test_ece_of_known_cases():
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=200_000)
    calibrated = (rng.uniform(size=len(probability)) < probability).astype(np.uint8)
    assert reliability(calibrated, probability).ece < 0.01
    assert reliability(np.zeros(4), np.full(4, 0.9)).ece == pytest.approx(0.9)


def scenes_of_probabilities(n=4000, scenes=12, seed=0):
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, scenes, n).astype(np.int32)
    cloud = rng.integers(0, 2, n).astype(np.uint8)
    shift = rng.normal(0, 0.7, scenes)[scene]
    probability = 1 / (1 + np.exp(-(2.0 * cloud - 1 + shift + rng.normal(size=n))))
    return cloud, probability.astype(np.float32), scene


def test_scenes_add_up_to_the_whole():
    cloud, probability, scene = scenes_of_probabilities()
    counts = scene_confusions(cloud, probability, scene, 12, 0.4)
    whole = rank(cloud, probability).confusion(0.4)
    assert counts.sum(0).tolist() == [whole.true_cloud, whole.false_cloud, whole.true_clear, whole.false_clear]
    assert whole.total == len(cloud)


def test_bootstrap_by_scene_agrees_with_resampling_spectra_by_hand():
    cloud, probability, scene = scenes_of_probabilities()
    ours = bootstrap(cloud, probability, scene, 0.5, draws=400, seed=1)
    rng = np.random.default_rng(2)
    members = [np.flatnonzero(scene == number) for number in range(12)]
    draws = []
    for _ in range(400):
        rows = np.concatenate([members[number] for number in rng.integers(0, 12, 12)])
        draws.append(
            (
                np.mean((probability[rows] > 0.5) == cloud[rows]),
                sk.roc_auc_score(cloud[rows], probability[rows]),
                sk.average_precision_score(cloud[rows], probability[rows]),
            )
        )
    for name, values in zip(("accuracy", "auc", "ap"), np.transpose(draws), strict=True):
        np.testing.assert_allclose(ours[name], np.quantile(values, (0.025, 0.975)), atol=0.01)
        assert ours[name][0] < ours[name][1]


def test_one_class_and_bad_input():
    only_clear = rank([0, 0], [0.2, 0.9])
    assert np.isnan(only_clear.auc()) and only_clear.confusion(0.5).scores()["fpr"] == 0.5
    assert confusion_scores(np.zeros((1, 4)))["f1"] == [0.0]
    for cloud, probability, words in (
        ([0, 1], [0.1, np.nan], "NaN"),
        ([0, 2], [0.1, 0.2], "must be 0"),
        ([], [], "of one length"),
        ([0, 1], [0.1], "of one length"),
    ):
        with pytest.raises(UsageError, match=words):
            rank(cloud, probability)
