"""Forms say what the command line says, and what they make of it is parsed back the same."""

import shlex

import pytest
from typer.main import get_command

from spectf_cloud.cli.main import app
from spectf_cloud.tui.masking_page import deploy_problem, next_free
from spectf_cloud.tui.options import Command, shell

from scene_files import arrays, write_emit


def parsed(command, values):
    """What the command line reads from a form."""
    arguments = command.arguments(values)
    found = get_command(app)
    words = command.name.split()
    for word in words:
        found = found.commands[word]
    return found.make_context(words[-1], arguments[len(words) :]).params


def test_every_option_of_the_command_is_a_field_with_its_help():
    declared = {p.name: p for p in get_command(app).commands["deploy-pt"].params}
    fields = {option.name: option for option in Command("deploy-pt", get_command(app)).options}
    assert set(declared) - set(fields) == {"outfp", "obsfp", "rdnfp", "json", "verbose", "quiet"}
    assert all(fields[name].help == declared[name].help for name in fields)
    assert fields["fidelity"].choices == ("exact", "faithful", "fast")
    assert (fields["fidelity"].default, fields["weights"].default, fields["threshold"].default) == (
        "faithful",
        "builtin",
        "",
    )
    assert {name for name, field in fields.items() if field.kind == "switch"} == {
        "proba",
        "overwrite",
        "keep_bands",
        "trust_input",
    }


def test_values_come_back_from_the_command_line():
    values = {"out": "a b.tif", "rdn": "-odd.nc", "threshold": "0.25", "proba": True, "device": "-1", "ortho": "  "}
    read = parsed(Command("deploy-pt", get_command(app)), values)
    assert (str(read["out"]), str(read["rdn"]), read["threshold"]) == ("a b.tif", "-odd.nc", 0.25)
    assert (read["proba"], read["device"], read["ortho"]) == (True, "-1", None)


def test_lists_and_positionals_come_back():
    read = parsed(
        Command("train", get_command(app)),
        {"dataset": "a.h5 'b c.h5' -d.h5", "train_csv": "t", "test_csv": "u", "freeze": "head layers"},
    )
    assert [str(path) for path in read["dataset"]] == ["a.h5", "b c.h5", "-d.h5"]
    assert read["freeze"] == ["head", "layers"]


def test_the_shell_line_is_what_a_shell_reads_back():
    command = Command("deploy-pt", get_command(app))
    values = {"out": "it's.tif", "rdn": "a b.nc"}
    assert shlex.split(shell(command.arguments(values))) == ["spectf-cloud", *command.arguments(values)]


@pytest.mark.parametrize(
    ("command", "values", "option"),
    [
        ("deploy-pt", {"threshold": "1.5"}, "threshold"),
        ("deploy-pt", {"threshold": "high"}, "threshold"),
        ("deploy-pt", {"config": "/not/there.yml"}, "config"),
        ("train", {}, "dataset"),
        ("train", {"dataset": "a.h5", "train_csv": "t", "test_csv": "u", "epochs": "0"}, "epochs"),
        ("train", {"dataset": "a.h5", "train_csv": "t", "test_csv": "u"}, None),
    ],
)
def test_what_the_command_line_would_refuse(command, values, option):
    problem = Command(command, get_command(app)).problem(values)
    assert (problem and problem.option) == option


def test_the_environment_is_a_default(monkeypatch):
    monkeypatch.setenv("SPECTF_DEPLOY_WEIGHTS", "official:v0.1.0")
    fields = {option.name: option for option in Command("deploy-pt", get_command(app)).options}
    assert fields["weights"].default == "official:v0.1.0"


def test_what_deploy_would_refuse_is_known_before(tmp_path):
    rad, obs = write_emit(tmp_path, arrays())
    good = {"rdn": str(rad), "out": str(tmp_path / "m.tif"), "proba": True}
    assert deploy_problem(good) is None
    (tmp_path / "m_prob.tif").touch()
    cases = {
        "proba": good,
        "rdn": {**good, "rdn": str(tmp_path / "none.nc")},
        "out": {**good, "out": str(rad)},
        "obs": {**good, "obs": str(tmp_path / "none.nc")},
        "quicklook": {**good, "overwrite": True, "quicklook": good["out"]},
    }
    assert {name: deploy_problem(values).option for name, values in cases.items()} == {name: name for name in cases}
    assert deploy_problem({**good, "overwrite": True}) is None
    obs.unlink()
    assert deploy_problem({**good, "overwrite": True}).option == "obs"


def test_a_new_name_is_free_and_promised_to_no_one(tmp_path):
    out = tmp_path / "x_mask.tif"
    assert next_free(out) == out
    out.touch()
    (tmp_path / "x_mask_2_prob.tif").touch()
    third = tmp_path / "x_mask_3.tif"
    assert next_free(out) == third
    assert next_free(third, {third}) == tmp_path / "x_mask_4.tif" == next_free(out, {third})
