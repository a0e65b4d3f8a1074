import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgepress.contracts.candidate import BASELINE, Failure
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.verdict import read_verdict
from edgepress.device.digest import digest_file, digest_tree
from edgepress.errors import IntegrityError
from tests.unit.sample_report import report_run, write_report
from tests.unit.sample_run import BASELINE_MODEL, MODELS, POLICY, Model, build_run

INT8 = MODELS[1]


class Page(HTMLParser):
    """What a browser would make of the page: tags, ids, links and visible text by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the whole sample, read-only."""
    return write_report(tmp_path_factory.mktemp("sample"))


def test_directory_holds_everything(sample: Path) -> None:
    files = {path.relative_to(sample).as_posix() for path in sample.rglob("*") if path.is_file()}
    recipes = [BASELINE, *(model.recipe for model in MODELS)]
    assert files == {
        "verdict.json",
        "report.html",
        "leaderboard.csv",
        *(f"evaluations/{recipe}.json" for recipe in recipes),
        "evaluations/test/baseline.json",
        "evaluations/test/pruned-int8.json",
        *(f"models/{recipe}.tflite" for recipe in recipes if recipe != "hot-student"),
    }
    verdict = read_verdict(sample)
    for candidate in verdict.candidates:
        if candidate.outcome != "failed":
            assert digest_file(sample / "models" / f"{candidate.recipe}.tflite") == candidate.model_digest
    assert json.loads((sample / "evaluations" / "int8.json").read_text())["split"] == "validation"


def test_page_tells_the_run(sample: Path) -> None:
    page = Page((sample / "report.html").read_text(encoding="utf-8"))
    for expected in (
        "pruned-int8 passed: on 10,000 test examples it is 91.02",
        "0.77 points below the baseline",
        "This is the first time that this test split judges a model.",
        "hot-student",
        "distill: the loss became NaN at epoch 3",
        "gzip size is 0.505 of the baseline's, above the maximum 0.4",
        "latency_p50_ms.max_ratio",
        "x86-avx2",
        "litert 2.3.0",
        "resnet8/conv2d_1/Conv2D",
        "brightness",
        "Ankle boot",
        "prune → quantize → convert",
        "final_sparsity",
    ):
        assert expected in page.text, expected
    verdict = read_verdict(sample)
    assert verdict.dataset_digest in page.text
    assert verdict.targets[0].digest in page.text
    assert page.tags.count("svg") == 2 + 5  # two trade-offs; curves of the baseline and of the four recipes that trained


def test_page_asks_the_network_for_nothing_and_runs_nothing(sample: Path) -> None:
    text = (sample / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "img", "base"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "xlink:href", "src", "srcset", "action", "data", "poster"):
            assert value.startswith("#"), (tag, name, value)
    assert not re.findall(r"url\((?!#)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_ids_are_unique_and_references_resolve(sample: Path) -> None:
    text = (sample / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    references = {value[1:] for _, name, value in page.attributes if name in ("href", "xlink:href")}
    references |= {word for _, name, value in page.attributes if name == "aria-labelledby" for word in value.split()}
    references |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert references <= set(page.ids)


def test_charts_follow_the_page_and_speak(sample: Path) -> None:
    text = (sample / "report.html").read_text(encoding="utf-8")
    assert "#0a0b0" not in text  # every placeholder colour became a variable of the page
    assert "var(--accent)" in text
    assert text.count('role="img"') == text.count("<svg ")
    described = re.findall(r"<desc[^>]*>([^<]*)</desc>", text)
    assert any("pruned-int8 (nominated): 91.38" in description for description in described)
    assert any("best validation accuracy" in description for description in described)


def test_same_run_gives_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    assert digest_tree(write_report(tmp_path)) == digest_tree(sample)


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&\"'"
    models = (INT8, Model("broken", 0, 0, 0, 0, 0, failure=Failure(stage="prune", reason=evil)))
    labels = (evil, "b", "c")
    run = build_run(tmp_path, models, labels=labels)
    text = (report_run(run, tmp_path, name=f"n{evil}", run_id=f"r{evil}") / "report.html").read_text(encoding="utf-8")
    assert "script" not in Page(text).tags
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;") >= 5


def test_leaderboard_is_rfc_4180(tmp_path: Path) -> None:
    reason = 'a "quoted", long\nreason'
    models = (INT8, Model("broken", 0, 0, 0, 0, 0, failure=Failure(stage="prune", reason=reason)))
    content = (report_run(build_run(tmp_path, models), tmp_path) / "leaderboard.csv").read_bytes()
    assert content.endswith(b"\r\n")
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))
    assert [(row["recipe"], row["outcome"]) for row in rows] == [(BASELINE, BASELINE), ("int8", "nominated"), ("broken", "failed")]
    assert rows[2]["reasons"] == f"prune: {reason}"
    assert rows[2]["accuracy"] == ""
    assert (float(rows[1]["accuracy"]), int(rows[1]["size_gzip_bytes"])) == (INT8.accuracy, INT8.size_gzip_bytes)
    assert rows[0]["accuracy_drop"] == "0.0"


STRICT = GateSettings.model_validate_json('{"accuracy": {"min": 0.99}}')


def test_nobody_nominated(tmp_path: Path) -> None:
    page = Page((write_report(tmp_path, (INT8, MODELS[5]), STRICT) / "report.html").read_text(encoding="utf-8"))
    assert "Rejected: no candidate could be nominated on validation data; 1 ineligible, 1 failed." in page.text
    assert "int8: accuracy 0.9204 is below the minimum 0.99." in page.text
    assert "Nothing was nominated, so no candidate was judged on test data." in page.text
    assert "Confusion on validation data" in page.text
    assert page.text.count("Nothing was nominated; this is the best candidate by accuracy.") == 2


def test_every_bounded_cost_has_its_chart(tmp_path: Path) -> None:
    policy = GateSettings.model_validate_json('{"size_bytes": {"max": 95000}, "latency_p95_ms": {"max_ratio": 2}}')
    page = Page((write_report(tmp_path, (MODELS[3],), policy) / "report.html").read_text(encoding="utf-8"))
    for title in ("gzip size", "p50 latency", "file size", "p95 latency"):
        assert f"Accuracy against {title}" in page.text


def test_all_failed(tmp_path: Path) -> None:
    output = write_report(tmp_path, models=(MODELS[5],))
    page = Page((output / "report.html").read_text(encoding="utf-8"))
    assert "Rejected: the only candidate failed, so nothing could be judged." in page.text
    assert [path.name for path in (output / "models").iterdir()] == ["baseline.tflite"]


def test_rejected_on_test_says_why(tmp_path: Path) -> None:
    policy = GateSettings.model_validate_json('{"accuracy": {"min": 0.911}, "size_bytes": {"max": 95000}}')
    page = Page((write_report(tmp_path, (MODELS[3],), policy) / "report.html").read_text(encoding="utf-8"))
    assert "pruned-int8 was rejected: 1 of 2 checks on test data did not pass." in page.text
    assert "accuracy 0.9102 is below the minimum 0.911." in page.text


def test_adopted_baseline_has_no_curves_and_data_no_slices(tmp_path: Path) -> None:
    run = build_run(tmp_path, (INT8,), curves=False, slices=False)
    page = Page((report_run(run, tmp_path) / "report.html").read_text(encoding="utf-8"))
    assert "The dataset has no slice columns." in page.text
    assert "there are no training curves" in page.text
    assert page.tags.count("svg") == 2


def test_many_labels_list_the_commonest_mistakes(tmp_path: Path) -> None:
    run = build_run(tmp_path, (INT8,), labels=tuple(f"class {index}" for index in range(60)))
    page = Page((report_run(run, tmp_path) / "report.html").read_text(encoding="utf-8"))
    assert "on 60 labels: the commonest mistakes" in page.text
    assert "taken for" in page.text


def test_far_outlier_leaves_the_others_room(tmp_path: Path) -> None:
    run = build_run(tmp_path, (INT8, Model("collapsed", 0.1, 0.1, 90_000, 70_000, 0.4)))
    text = (report_run(run, tmp_path) / "report.html").read_text(encoding="utf-8")
    assert "collapsed (10.00" in text
    assert not re.search(r">[123]0 %<", text)  # the axis does not stretch down to it


@pytest.mark.parametrize("recipe", ["../../etc/x", "", "Upper", "a/b"])
def test_recipe_that_is_no_name_writes_nothing(tmp_path: Path, recipe: str) -> None:
    run = build_run(tmp_path, (INT8,))
    record = run.candidates[0] / "candidate.json"
    record.write_text(record.read_text().replace('"recipe": "int8"', f'"recipe": "{recipe}"'))
    with pytest.raises(IntegrityError, match="not a recipe's name"):
        report_run(run, tmp_path)
    assert not (tmp_path / "report").exists()
    assert not list(tmp_path.glob(".report*"))


def test_model_changed_after_the_gate_writes_nothing(tmp_path: Path) -> None:
    run = build_run(tmp_path, (INT8,))
    report_run(run, tmp_path)
    (run.candidates[0] / "model.tflite").write_bytes(b"changed")
    with pytest.raises(IntegrityError, match="but the gate saw"):
        report_run(run, tmp_path, output=tmp_path / "again", judged=True)
    assert not (tmp_path / "again").exists()


def test_recipe_given_twice_is_an_error(tmp_path: Path) -> None:
    run = build_run(tmp_path, (INT8,))
    report_run(run, tmp_path)
    run.candidates.append(run.candidates[0])
    with pytest.raises(IntegrityError, match="int8 is there twice"):
        report_run(run, tmp_path, output=tmp_path / "again", judged=True)


def test_importing_the_step_loads_no_matplotlib() -> None:
    code = "import sys, edgepress.report.step; print('matplotlib' in sys.modules, 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False False\n"


def test_baseline_alone_on_the_front_still_draws(tmp_path: Path) -> None:
    worse = Model("worse", 0.5, 0.5, 400_000, 390_000, 2.0)
    run = build_run(tmp_path, (worse,), baseline=BASELINE_MODEL)
    page = Page((report_run(run, tmp_path, policy=POLICY) / "report.html").read_text(encoding="utf-8"))
    assert "On the Pareto front: baseline." in page.text
