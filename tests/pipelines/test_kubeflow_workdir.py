"""Following a run into a working directory in which something is in the way: one line, and what to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from edgepress_pipelines.commands.arguments import make_console
from edgepress_pipelines.commands.runs import follow_to_end
from tests.kfp_api.server import running_kfp
from tests.pipelines.cluster_project import connect
from tests.pipelines.followed_run import Submitted, submit

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[Submitted]:
    with running_kfp() as kfp:
        submitted = submit(kfp, tmp_path, str(tmp_path / "store"))
        submitted.ends("passed")()
        yield submitted


def follow(ended: Submitted) -> int:
    with pytest.raises(typer.Exit) as ending:
        follow_to_end(make_console(), connect(ended.kfp), ended.run.run_id, ended.workdir, plain=True)
    return ending.value.exit_code


def test_only_what_a_run_gives_is_made(ended: Submitted) -> None:
    assert follow(ended) == 0
    assert [path.name for path in ended.workdir.iterdir()] == ["runs"]


def test_what_a_killed_command_left_is_in_nobodys_way(ended: Submitted) -> None:
    runs = ended.workdir / "runs"
    runs.mkdir(parents=True)
    (runs / f".latest.{ended.run.run_id}").symlink_to("elsewhere")
    assert follow(ended) == 0
    assert (runs / "latest").resolve().name == ended.run.run_id


@pytest.mark.parametrize(
    ("in_the_way", "is_folder"),
    [("{run}", False), ("{run}/report.html", True), ("{run}/models", False), ("latest", True)],
)
def test_what_is_in_the_way_is_named(ended: Submitted, in_the_way: str, is_folder: bool, capsys: pytest.CaptureFixture[str]) -> None:
    path = ended.workdir / "runs" / in_the_way.format(run=ended.run.run_id)
    path.parent.mkdir(parents=True)
    if is_folder:
        (path / "something").mkdir(parents=True)
    else:
        path.write_text("a file")
    assert follow(ended) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"edgepress: error: {path}: "), line
    assert "Error" not in line
    assert f"follow it again with: edgepress runs follow {ended.run.run_id}" in line
