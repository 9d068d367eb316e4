"""Where files come from."""

from pathlib import Path

import pytest

from agent.sources import package_file


def test_a_packages_file_is_found_without_importing_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "explosive_package").mkdir()
    (tmp_path / "explosive_package" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "explosive_package" / "lm.gguf").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_file("package:explosive_package/lm.gguf") == tmp_path / "explosive_package" / "lm.gguf"


@pytest.mark.parametrize("name", ["os.path/x", "torch/../x", "torch//etc/passwd", "torch/", "torch"])
def test_a_name_that_leads_out_of_the_package_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected package:PACKAGE/FILE"):
        package_file(f"package:{name}")
