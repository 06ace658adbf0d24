from __future__ import annotations

import json

from spectf_cloud.__main__ import main

from small_scenes import make_mask, make_scene


def test_command_reports_in_words_and_in_json(tmp_path, capsys):
    probability = tmp_path / "a_prob.tif"
    make_mask(make_scene(20, 30)).to_probability_geotiff(probability)
    out = str(tmp_path / "out.tif")
    assert main(["threshold", str(probability), out, "--threshold", "0.3", "--buffer", "2"]) == 0
    assert "above 0.3" in capsys.readouterr().out
    assert main(["threshold", str(probability), out]) == 1
    assert "overwrite" in capsys.readouterr().err
    assert main(["threshold", str(probability), out, "--overwrite", "--json"]) == 0
    event = json.loads(capsys.readouterr().out)
    assert event["event"] == "done" and event["threshold"] == 0.5 and event["out"] == out
    assert main(["threshold", str(tmp_path / "none.tif"), out, "--overwrite"]) == 3
