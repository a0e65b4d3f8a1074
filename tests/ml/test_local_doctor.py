"""The doctor on the machine of the tests, which must be able to run EdgePress."""

from pathlib import Path

from typer.testing import CliRunner

from edgepress.errors import EXIT_DONE
from edgepress_pipelines.cli import app


def test_the_doctor_finds_this_machine_fit(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--workdir", str(tmp_path)])
    assert result.exit_code == EXIT_DONE, result.output
    for name in ("Python", "packages", "TensorFlow", "LiteRT", "KFP", "object store", "memory", "cores", "disk", "data: digits"):
        assert name in result.output
    assert "This machine can run EdgePress." in result.output
