"""`spectf-cloud info` says what is here, for people and for programs."""

from __future__ import annotations

import json

import pytest

from spectf_cloud.__main__ import main


def test_backends_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--backends", "--json"]) == 0
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    names = {backend["name"]: backend for backend in event["backends"]}
    assert names["torch-float32"]["available"]
    assert any(name.startswith("native-") for name in names)
    assert all(backend["reason"] for backend in names.values())


def test_forced_level_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTF_SIMD", "none")
    assert main(["info", "--backends"]) == 0
    shown = capsys.readouterr().out
    assert "no  native-portable" in shown
    assert "left out by SPECTF_SIMD" in shown
