"""What is printed after a run says what the verdict says, and fits 80 columns."""

from pathlib import Path

import pytest
from rich.console import Console

from edgepress_pipelines.terminal.outcome import show_outcome, verdict_sentence
from tests.unit.sample_verdict import verdict_of


def shown(kind: str, run_dir: Path, published_uri: str | None = None, *, terminal: bool = False) -> str:
    console = Console(width=80, highlight=False, color_system=None, force_terminal=terminal, legacy_windows=False)
    with console.capture() as capture:
        show_outcome(console, verdict_of(kind), run_dir, published_uri)
    return capture.get()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("passed", "Passed: student-int8 holds every threshold on test data."),
        (
            "rejected",
            (
                "Rejected: student-int8 was nominated, but on test data accuracy is 0.0412 below the baseline's, more than 0.03. "
                "Nothing is released."
            ),
        ),
        ("none", "Rejected: no candidate holds every threshold on validation data. Nothing is released."),
    ],
)
def test_verdict_in_a_sentence(kind: str, sentence: str) -> None:
    assert verdict_sentence(verdict_of(kind)) == sentence


def test_every_candidate_and_figure_is_shown(tmp_path: Path) -> None:
    rows = {line.split()[0]: line.split() for line in shown("passed", tmp_path).splitlines() if line.strip()}
    assert rows["student-int8"][1:] == ["nominated", "0.9722", "+0.0084", "14,438", "0.012", "0.30"]
    assert rows["int8"][1:] == ["eligible", "0.9750", "+0.0056", "78,766", "0.047", "1.14"]
    assert rows["size_gzip_bytes.max"][1:] == ["14,438", "50,000", "passed"]
    assert rows["accuracy.max_drop"][1:] == ["0.0112", "0.03", "passed"]


def test_reasons_and_uses_of_the_test_split_are_shown(tmp_path: Path) -> None:
    text = " ".join(shown("rejected", tmp_path).split())
    assert "qat: quantize: the loss became NaN in epoch 2; lower train.learning_rate" in text
    assert "used 3 times" in text
    assert "accuracy.max_drop: accuracy is 0.0412 below the baseline's, more than 0.03" in text
    assert "nominee" not in text


@pytest.mark.parametrize("kind", ["passed", "rejected", "none"])
def test_tables_fit_80_columns_and_cut_nothing(kind: str, tmp_path: Path) -> None:
    text = shown(kind, tmp_path, terminal=True)
    assert "…" not in text
    tables = [line for line in text.splitlines() if str(tmp_path) not in line]
    assert max(map(len, tables)) <= 80


@pytest.mark.parametrize("width", [60, 80, 100])
def test_long_names_of_recipes_are_whole_on_a_narrow_terminal(width: int, tmp_path: Path) -> None:
    verdict = verdict_of("passed")
    names = {candidate.recipe: f"{candidate.recipe}-pruned50-clustered16" for candidate in verdict.candidates}
    renamed = [candidate.model_copy(update={"recipe": names[candidate.recipe]}) for candidate in verdict.candidates]
    console = Console(width=width, highlight=False, color_system=None, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        show_outcome(console, verdict.model_copy(update={"candidates": tuple(renamed)}), tmp_path, None)
    table = capture.get().partition("ratio: p50")[0].splitlines()
    assert max(map(len, table)) <= width
    for name in names.values():
        assert any(line.split()[:1] == [name] for line in table)
    assert any(line.split()[-6:] == ["nominated", "0.9722", "+0.0084", "14,438", "0.012", "0.30"] for line in table)


def test_places_are_on_a_line_of_their_own_however_long(tmp_path: Path) -> None:
    run_dir = tmp_path / ("long-" * 30)
    (run_dir / "release").mkdir(parents=True)
    lines = shown("passed", run_dir, "s3://edgepress/releases/x").splitlines()
    assert f"report    {run_dir / 'report.html'}" in lines
    assert f"release   {run_dir / 'release'}" in lines
    assert "published s3://edgepress/releases/x" in lines


def test_a_rejected_run_shows_no_release(tmp_path: Path) -> None:
    assert "release  " not in shown("rejected", tmp_path)
    assert "published" not in shown("rejected", tmp_path)
