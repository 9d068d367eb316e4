"""The command that evaluates a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from training import evaluate


def test_the_device_reaches_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class StopError(Exception):
        pass

    def agent(*_: Any, device: str, **__: Any) -> Any:
        seen.append(device)
        raise StopError

    monkeypatch.setattr(evaluate, "load_agent", agent)
    (tmp_path / "run.json").write_text(json.dumps({"method": "shelm"}))
    command = ["--run", str(tmp_path), "--env", "MiniGrid-MemoryS11-v0", "--out", str(tmp_path / "out.json")]
    for options in ([], ["--device", "cuda:1"]):
        with pytest.raises(StopError):
            evaluate.main([*command, *options])
    assert seen == ["cpu", "cuda:1"]
