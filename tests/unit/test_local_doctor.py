"""What the doctor looks at, and what it makes of it."""

import sys
from pathlib import Path

import pytest
from rich.console import Console

from edgepress_pipelines.local.doctor import (
    MIN_DISK_BYTES,
    Finding,
    check_disk,
    check_versions,
    is_fit,
    memory_bytes,
    show_findings,
    try_program,
)


@pytest.mark.parametrize(
    ("code", "state", "detail"),
    [
        ("print('noise'); print('2.21.0')", "ok", "2.21.0 imports"),
        ("import no_such_module_at_all", "missing", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("raise SystemExit(3)", "missing", "ended with status 3"),
        ("pass", "missing", "ended with status 0"),
    ],
)
def test_a_program_that_fails_is_missing_and_says_why(code: str, state: str, detail: str) -> None:
    finding = try_program("thing", [sys.executable, "-c", code], lambda output: f"{output[-1]} imports")
    assert finding == Finding("thing", state, detail)  # type: ignore[arg-type]


def test_a_program_that_is_not_there_is_missing(tmp_path: Path) -> None:
    finding = try_program("thing", [str(tmp_path / "none")], str)
    assert finding.state == "missing"
    assert "No such file" in finding.detail


def test_the_disk_of_the_nearest_folder_is_looked_at_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_disk(tmp_path / "a" / "b").detail.endswith(f"free in {tmp_path}")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("edgepress_pipelines.local.doctor.MIN_DISK_BYTES", 10**18)
    full = check_disk(tmp_path)
    assert full.state == "missing"
    assert "are needed" in full.detail
    assert MIN_DISK_BYTES < 10**18


@pytest.mark.parametrize(("limit", "expected"), [("1000000\n", 1_000_000), ("max\n", None), (None, None)])
def test_a_container_has_the_memory_of_its_control_group(tmp_path: Path, limit: str | None, expected: int | None) -> None:
    path = tmp_path / "memory.max"
    if limit is not None:
        path.write_text(limit)
    assert memory_bytes(path) == (expected or memory_bytes(tmp_path / "absent"))


def test_the_installed_packages_fit_what_edgepress_asks_for() -> None:
    findings = list(check_versions())
    assert [finding for finding in findings if finding.state != "ok"] == []


def test_only_what_is_missing_makes_a_machine_unfit() -> None:
    console = Console(width=80, color_system=None)
    good, noted, missing = Finding("a", "ok", "x"), Finding("b", "note", "y"), Finding("c", "missing", "z")
    assert is_fit([good, noted])
    assert not is_fit([good, missing])
    with console.capture() as capture:
        show_findings(console, [good, noted, missing])
    assert "Missing: c." in capture.get()
    assert all(text in capture.get() for text in ("note", "missing", "z"))
