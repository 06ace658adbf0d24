import pytest

from spectf_cloud.architecture import Architecture
from spectf_cloud.errors import ConfigError
from spectf_cloud.files.resources import resource
from spectf_cloud.files.yaml import read_yaml
from spectf_cloud.models.arch_spec import read_arch_spec
from spectf_cloud.sensor import PUBLISHED_DROP_NM


def test_the_bundled_configuration_is_the_published_one():
    spec = read_arch_spec(resource("spectf_cloud_config.yml"))
    assert spec.architecture == Architecture()
    assert spec.drop_nm == PUBLISHED_DROP_NM


def test_what_a_file_leaves_out_is_left_open(tmp_path):
    path = tmp_path / "arch.yml"
    path.write_text("spectra: {drop_band_ranges: [[0, 400]]}\ninference: {batch: 4096}\n")
    spec = read_arch_spec(path)
    assert spec.architecture is None
    assert spec.drop_nm == ((0.0, 400.0),)
    path.write_text("")
    assert read_arch_spec(path).drop_nm == PUBLISHED_DROP_NM


@pytest.mark.parametrize(
    "text",
    [
        "architecture: {depth: 3}",
        "architecture: 7",
        "architecture: {num_heads: 5}",
        "spectra: [1]",
        "spectra: {drop_bands: [[0, 400]]}",
        "architectur: {num_heads: 4}",
        "spectra: {drop_band_ranges: 400-500}",
        "a: [1",
        "- 1",
        "1: 2",
        "!!python/object/apply:os.system [ls]",
        "a: &a [x, x]\nb: &b [*a, *a]\nspectra: *b",
        "<<: &merge {spectra: {}}\ninference: *merge",
        "[" * 50_000,
        "when: 2024-99-99",
        "a: " + "9" * 5000,
        "a: 1:99:99999999999999999999e999",
        "? [1, 2]\n: 3",
        "architecture: {dim_proj: 4096, dim_ff: 4096, num_layers: 4096}",
        "architecture: {dropout: .nan}",
        "\x00",
    ],
)
def test_nonsense_is_named(tmp_path, text):
    path = tmp_path / "bad.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yml"):
        read_arch_spec(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yml"):
        read_yaml(tmp_path / "absent.yml")
