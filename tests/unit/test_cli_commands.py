"""The command line: what it loads, how it ends, and that every mistake is one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgepress.contracts.json_file import write_json
from edgepress.errors import EXIT_DONE, EXIT_FAILED, EXIT_WRONG_INPUT
from edgepress_pipelines.cli import app
from tests.unit.sample_verdict import verdict_of

HEAVY = (
    "tensorflow",
    "tf_keras",
    "kfp",
    "kfp_server_api",
    "kubernetes",
    "boto3",
    "matplotlib",
    "ai_edge_litert",
    "sklearn",
    "numpy",
    "edgepress.contracts",
)
EDGEPRESS = (sys.executable, "-c", "from edgepress_pipelines.cli import main; main()")

runner = CliRunner()


def run_command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, as a user starts it."""
    return subprocess.run(
        [*EDGEPRESS, *arguments], capture_output=True, text=True, cwd=cwd, timeout=60, check=False, env=os.environ | environment
    )


def one_error_line(stderr: str) -> str:
    assert stderr.startswith("edgepress: error: ")
    assert stderr.count("\n") == 1
    return stderr.removeprefix("edgepress: error: ").rstrip("\n")


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
import sys
from typer.testing import CliRunner
from edgepress_pipelines.cli import app
commands = (["run"], ["compile"], ["doctor"], ["report"], ["init"], ["submit"], ["upload"], ["schedule", "create"], ["runs", "follow"])
for arguments in (["--help"], *([*command, "--help"] for command in commands)):
    assert CliRunner().invoke(app, arguments).exit_code == 0, arguments
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_refusing_a_configuration_loads_no_engine(tmp_path: Path) -> None:
    heavy = tuple(name for name in HEAVY if name not in ("numpy", "edgepress.contracts"))
    code = f"""
import sys
from typer.testing import CliRunner
from edgepress_pipelines.cli import app
assert CliRunner().invoke(app, ["run", "none.yaml"]).exit_code == 2
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_every_command() -> None:
    shown = runner.invoke(app, ["--help"]).output
    for command in ("init", "doctor", "run", "compile", "report"):
        assert f"\n  {command} " in shown


def test_version(tmp_path: Path) -> None:
    done = run_command("--version", cwd=tmp_path)
    assert done.returncode == EXIT_DONE
    assert done.stdout.startswith("edgepress ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["run", "a.yaml", "b.yaml"],
        ["run", "--nonsense"],
        ["compile", "a.yaml"],
        ["run", "a.yaml", "--set"],
        ["init"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == EXIT_WRONG_INPUT
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [["run"], ["compile", "-o", "out.yaml"]])
@pytest.mark.parametrize(
    ("content", "overrides", "message"),
    [
        (None, [], "there is no such file"),
        ("name: [", [], "broken YAML"),
        ("name: x\nslim: {}\n", [], "is missing"),
        ("- a", [], "must be a mapping of keys"),
        ("name: x", ["name"], "--set name: must be KEY=VALUE"),
    ],
)
def test_wrong_configurations_exit_with_2_and_write_nothing(
    command: list[str], content: str | None, overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.yaml"
    if content is not None:
        config.write_text(content)
    before = sorted(tmp_path.iterdir())
    result = runner.invoke(app, [*command, str(config), *(part for override in overrides for part in ("--set", override))])
    assert result.exit_code == EXIT_WRONG_INPUT
    assert message in one_error_line(result.stderr)
    assert result.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_a_wrong_configuration_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = run_command("run", "none.yaml", cwd=tmp_path)
    assert done.returncode == EXIT_WRONG_INPUT
    assert one_error_line(done.stderr).startswith("none.yaml: there is no such file")
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_only_when_asked_for(tmp_path: Path) -> None:
    done = run_command("run", "none.yaml", cwd=tmp_path, EDGEPRESS_DEBUG="1")
    assert done.returncode == EXIT_WRONG_INPUT
    assert "Traceback" in done.stderr
    one_error_line(done.stderr[done.stderr.rindex("edgepress: error: ") :])


def test_an_unwritable_place_for_the_compiled_pipeline_is_no_traceback(tmp_path: Path) -> None:
    result = runner.invoke(app, ["init", str(tmp_path / "file" / "x")])
    assert result.exit_code == EXIT_DONE
    (tmp_path / "plain").write_text("")
    result = runner.invoke(app, ["init", str(tmp_path / "plain" / "x")])
    assert result.exit_code == EXIT_WRONG_INPUT
    assert "cannot be written (Not a directory)" in one_error_line(result.stderr)


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -c 'from edgepress_pipelines.cli import main; main()' --help | head -n 1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", ["--help", "init --help", "--version"])
def test_output_that_cannot_be_written_is_one_line(arguments: str, tmp_path: Path) -> None:
    program = f"{sys.executable} -c 'from edgepress_pipelines.cli import main; main()' {arguments} > /dev/full"
    done = subprocess.run(["/bin/sh", "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == EXIT_FAILED
    assert "o space left on" in one_error_line(done.stderr)


def test_init_quotes_what_is_to_be_typed_and_takes_no_empty_name(tmp_path: Path) -> None:
    spaced = tmp_path / "my dir"
    assert f"cd '{spaced}' && edgepress run config.yaml" in runner.invoke(app, ["init", str(spaced)]).stdout
    result = runner.invoke(app, ["init", ""])
    assert result.exit_code == EXIT_WRONG_INPUT
    assert "DIR: is empty" in one_error_line(result.stderr)


def test_init_writes_a_project_and_overwrites_nothing(tmp_path: Path) -> None:
    result = runner.invoke(app, ["init", str(tmp_path / "project")])
    assert result.exit_code == EXIT_DONE
    assert sorted(path.name for path in (tmp_path / "project").iterdir()) == ["README.md", "config.yaml", "model.py"]
    (tmp_path / "project" / "README.md").unlink()
    (tmp_path / "project" / "model.py").write_text("mine")
    result = runner.invoke(app, ["init", str(tmp_path / "project")])
    assert result.exit_code == EXIT_WRONG_INPUT
    assert "model.py: already there; init overwrites nothing" in one_error_line(result.stderr)
    assert (tmp_path / "project" / "model.py").read_text() == "mine"
    assert not (tmp_path / "project" / "README.md").exists()


def run_folder(workdir: Path, name: str, kind: str) -> Path:
    run_dir = workdir / "runs" / name
    run_dir.mkdir(parents=True)
    write_json(run_dir / "verdict.json", verdict_of(kind))
    (workdir / "runs" / "latest").unlink(missing_ok=True)
    (workdir / "runs" / "latest").symlink_to(name)
    return run_dir


def test_report_shows_the_newest_or_the_named_run(tmp_path: Path) -> None:
    old, new = run_folder(tmp_path, "20260101-000000-aaaa", "passed"), run_folder(tmp_path, "20260102-000000-bbbb", "none")
    workdir = ["--workdir", str(tmp_path)]
    newest = runner.invoke(app, ["report", *workdir])
    assert newest.exit_code == EXIT_DONE
    assert "Rejected: no candidate" in newest.stdout
    assert str(new / "report.html") in newest.stdout
    for name in ("20260101-000000-aaaa", str(old)):
        named = runner.invoke(app, ["report", name, *workdir])
        assert named.exit_code == EXIT_DONE
        assert "Passed: student-int8" in named.stdout
        assert str(old / "report.html") in named.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no run has reached a verdict yet"),
        (["x"], "there is no run 'x'"),
        (["unfinished"], "unfinished/logs"),
        (["cluster"], "has no verdict (yet); for a run on Kubeflow: edgepress runs follow cluster"),
    ],
)
def test_report_without_a_verdict(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "runs" / "unfinished" / "logs").mkdir(parents=True)
    (tmp_path / "runs" / "cluster").mkdir()
    result = runner.invoke(app, ["report", *arguments, "--workdir", str(tmp_path)])
    assert result.exit_code == EXIT_WRONG_INPUT
    assert message in one_error_line(result.stderr)


def test_a_damaged_verdict_is_an_integrity_error(tmp_path: Path) -> None:
    run_dir = run_folder(tmp_path, "20260101-000000-aaaa", "passed")
    (run_dir / "verdict.json").write_text("{}")
    result = runner.invoke(app, ["report", "--workdir", str(tmp_path)])
    assert result.exit_code == EXIT_FAILED
    assert "is not a verdict of schema version 1" in one_error_line(result.stderr)
