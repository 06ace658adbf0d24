"""The entries of each page in the command palette."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from textual.app import SystemCommand

from spectf_cloud.tui.masking_page import MaskingPage
from spectf_cloud.tui.result_page import ResultPage
from spectf_cloud.tui.scenes import ScenesPage
from spectf_cloud.tui.train_page import TrainPage


def page_commands(
    scenes: ScenesPage, mask: MaskingPage, result: ResultPage, train: TrainPage
) -> Iterable[SystemCommand]:
    """Yield every action of the pages by name."""
    yield SystemCommand("Scenes: mask or open", "Use the file under the cursor", scenes.action_use)
    yield SystemCommand("Scenes: go to a folder", "Type where the tree starts", scenes.action_go)
    yield SystemCommand("Scenes: folder above", "Start the tree one folder up", scenes.action_up)
    yield SystemCommand("Scenes: reload", "Read the folder again", scenes.action_reload)
    yield SystemCommand("Mask: run", "Queue the job of the form", mask.action_run)
    yield SystemCommand("Mask: copy the command", "To the clipboard", mask.action_copy)
    yield SystemCommand("Result: save as", "Mask, map, netCDF, picture", result.action_save)
    yield SystemCommand("Result: one picture or three", "Enlarge the focused picture", result.action_enlarge)
    yield SystemCommand("Result: zoom in", "At the cursor", partial(result.action_zoom, 2))
    yield SystemCommand("Result: zoom out", "At the cursor", partial(result.action_zoom, 0.5))
    yield SystemCommand("Result: wider buffer", "One pixel more", partial(result.action_buffer, 1))
    yield SystemCommand("Result: narrower buffer", "One pixel less", partial(result.action_buffer, -1))
    yield SystemCommand("Train: run", "Queue training or evaluation", train.action_run)
    yield SystemCommand("Train: resume", "Continue from the checkpoint", train.action_resume)
    yield SystemCommand("Train: open a run", "Curves or scores of an earlier one", train.action_open)
    yield SystemCommand("Train: copy the command", "To the clipboard", train.action_copy)
