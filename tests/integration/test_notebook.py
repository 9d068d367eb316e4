"""The notebook runs as it stands, against the real services, and is kept without outputs."""

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from shelm import Client
from support.deployment import Deployment
from support.process import REPOSITORY

NOTEBOOK = REPOSITORY / "clients" / "python" / "examples" / "memory.ipynb"
CELL_SECONDS = 180


def read() -> Any:
    """The notebook as it is kept."""
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def test_the_notebook_plays_an_episode_and_plots_its_memory(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELM_TARGET", deployment.target)
    monkeypatch.delenv("MPLBACKEND", raising=False)  # EnvPool sets it in whoever imports it, and then nothing is shown
    notebook = read()
    NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    (printed,) = [output.text for output in outputs if output.output_type == "stream" and output.name == "stdout"]
    name, rest = printed.split(":", 1)
    with Client(deployment.target) as client:
        episode = client.get_episode(name)
    assert episode.ended
    assert episode.committed_step is not None
    assert episode.total_reward is not None
    assert rest.strip() == f"{episode.committed_step + 1} steps, total reward {episode.total_reward:.3f}"
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
