"""The report as headless Chromium shows it: on a desktop and a phone, light and dark, with hostile texts, and offline."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from edgepress.contracts.candidate import Failure
from edgepress.contracts.policy import GateSettings
from tests.unit.sample_report import report_run, write_report
from tests.unit.sample_run import MODELS, Model, build_run

POLICY_META = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')

PROBE = """
<script>
const problems = [];
addEventListener("error", event => problems.push(String(event.message)));
addEventListener("load", () => {
  const shown = element => { const box = element.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  const charts = [...document.querySelectorAll("#tradeoffs svg.chart, details[open] svg.chart")];
  parent.postMessage({
    width: innerWidth,
    scrollWidth: document.documentElement.scrollWidth,
    sentence: document.querySelector("h1").innerText,
    sections: [...document.querySelectorAll("h2")].filter(shown).map(heading => heading.innerText),
    charts: charts.map(chart => ({
      shown: shown(chart),
      marks: [...chart.querySelectorAll("use, path")].filter(shown).length,
      ratio: chart.getBoundingClientRect().width / chart.parentElement.getBoundingClientRect().width,
      texts: [...chart.querySelectorAll("text")].map(text => text.textContent),
      clipped: [...chart.querySelectorAll("text")].filter(text => {
        const box = text.getBoundingClientRect(), frame = chart.getBoundingClientRect();
        return box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2;
      }).map(text => text.textContent),
      textColour: getComputedStyle(chart.querySelector("text")).fill,
    })),
    background: getComputedStyle(document.body).backgroundColor,
    resources: performance.getEntriesByType("resource").map(entry => entry.name),
    problems,
  }, "*");
});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("sample")) / "report.html"


def dump_dom(page: Path, profile: Path, *options: str) -> str:
    """The document after loading, as Chromium writes it back."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser is not None, "this test needs Chromium; install the package chromium, or run make test, which needs no browser"
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            f"--user-data-dir={profile}",
            "--window-size=1400,900",
            "--virtual-time-budget=5000",
            *options,
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def probe(page: Path, folder: Path, width: int, *options: str) -> dict[str, Any]:
    """What a window of that width shows. The probe's script runs in a copy whose policy against scripts is taken out."""
    probed, frame = folder / "probed.html", folder / "frame.html"
    text, replaced = POLICY_META.subn("", page.read_text(encoding="utf-8"))
    assert replaced == 1
    probed.write_text(text.replace("</head>", f"{PROBE}</head>"), encoding="utf-8")
    # A frame, because Chromium's own window does not become as narrow as a phone.
    frame.write_text(
        f"<iframe src='probed.html' style='border:0;width:{width}px;height:900px'></iframe><pre id='result'></pre>"
        "<script>onmessage = event => { document.getElementById('result').textContent = JSON.stringify(event.data); }</script>"
    )
    found = re.search(r"<pre id=\"result\">(.+?)</pre>", dump_dom(frame, folder / "profile", *options), re.DOTALL)
    assert found is not None, "the page did not finish loading"
    result: dict[str, Any] = json.loads(unescape(found.group(1)))
    return result


@pytest.mark.parametrize("width", [360, 1280])
def test_page_shows_everything_at_every_width(page: Path, tmp_path: Path, width: int) -> None:
    seen = probe(page, tmp_path, width)
    assert seen["problems"] == []
    assert seen["width"] == width
    assert seen["scrollWidth"] <= width, "the page scrolls sideways"
    assert seen["sentence"].startswith("pruned-int8 passed: on 10,000 test examples")
    assert seen["sections"] == [
        "Checks on test data",
        "Candidates",
        "Accuracy against cost",
        "Accuracy by slice",
        "Confusion on test data",
        "What each recipe did",
        "Under which conditions",
    ]
    assert len(seen["charts"]) == 3  # two trade-offs and the nominee's curves, which are open
    for chart in seen["charts"]:
        assert chart["shown"]
        assert chart["marks"] > 5
        assert chart["ratio"] > 0.95  # as wide as there is room
        assert chart["clipped"] == []
    for chart in seen["charts"][:2]:
        names = {"baseline", "float16", "int8", "qat-int8", "pruned-int8", "student-int8", "accuracy.min", "accuracy.max_drop", "max_ratio"}
        assert names <= set(chart["texts"])


def test_page_loads_no_resource(page: Path, tmp_path: Path) -> None:
    assert probe(page, tmp_path, 1280)["resources"] == []


def test_dark_follows_the_reader(page: Path, tmp_path: Path) -> None:
    (tmp_path / "light").mkdir()
    (tmp_path / "dark").mkdir()
    light = probe(page, tmp_path / "light", 800, "--blink-settings=preferredColorScheme=1")
    dark = probe(page, tmp_path / "dark", 800, "--blink-settings=preferredColorScheme=0")
    assert brightness(light["background"]) > 200 > 60 > brightness(dark["background"])
    for chart in light["charts"]:
        assert brightness(chart["textColour"]) < 140
    for chart in dark["charts"]:
        assert brightness(chart["textColour"]) > 140


def brightness(colour: str) -> float:
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", colour)[:3])
    return (red + green + blue) / 3


def test_rejection_without_nominee_shows(tmp_path: Path) -> None:
    report = write_report(tmp_path, (MODELS[1], MODELS[5]), GateSettings.model_validate_json('{"accuracy": {"min": 0.99}}'))
    seen = probe(report / "report.html", tmp_path, 360)
    assert seen["problems"] == []
    assert seen["scrollWidth"] <= 360
    assert seen["sentence"].startswith("Rejected: no candidate could be nominated")
    assert len(seen["charts"]) == 2


def test_hostile_texts_neither_run_nor_break_the_page(tmp_path: Path) -> None:
    evil = "</style></title><script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">" + "long" * 200
    models = (MODELS[1], Model("broken", 0, 0, 0, 0, 0, failure=Failure(stage="prune", reason=evil)))
    run = build_run(tmp_path, models, labels=(evil, "b", "c"))
    report = report_run(run, tmp_path, name=evil, run_id=evil)
    seen = probe(report / "report.html", tmp_path, 360)  # without the policy: only escaping protects here
    assert seen["problems"] == []
    assert seen["resources"] == []
    assert seen["scrollWidth"] <= 360
    assert "owned" not in re.findall(r"<title>(.*?)</title>", dump_dom(report / "report.html", tmp_path / "profile"))


def test_policy_of_the_page_stops_scripts_and_requests(page: Path, tmp_path: Path) -> None:
    infected = tmp_path / "infected.html"
    text = page.read_text(encoding="utf-8")
    script = "<script>document.documentElement.dataset.ran = 'yes'</script>"
    infected.write_text(text.replace("</body>", f"{script}</body>"), encoding="utf-8")
    assert "data-ran" not in dump_dom(infected, tmp_path / "guarded")
    infected.write_text(POLICY_META.sub("", text).replace("</body>", f"{script}</body>"), encoding="utf-8")
    assert 'data-ran="yes"' in dump_dom(infected, tmp_path / "unguarded")  # so the first half can fail
