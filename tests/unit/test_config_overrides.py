"""What ``--set`` does: where it reaches, what is refused and in which words, and when it needs quotes."""

import shlex
from pathlib import Path

import pytest

from edgepress.contracts.policy import CostThreshold, ShareThreshold
from edgepress.errors import ConfigError
from edgepress_pipelines.config.file import load_config
from tests.unit.config_files import GOOD, refusal, write

DIGITS = Path(__file__).parents[2] / "pipelines" / "edgepress_pipelines" / "configs" / "digits.yaml"


def test_overrides_reach_every_place(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, GOOD),
        [
            "name=other",
            "recipes.small.prune.final_sparsity=0.75",
            "recipes.0.convert.io=int8",
            "baseline.train.learning_rate=5e-4",
            "gate.size_gzip_bytes.max_ratio=0.5",
            "dataset.train_examples=100",
            "recipes.small.distill=null",
            "baseline.params={hidden: [16, 16]}",
        ],
    )
    assert config.name == "other"
    assert config.recipes[1].prune is not None
    assert config.recipes[1].prune.final_sparsity == 0.75
    assert config.recipes[1].distill is None
    assert config.recipes[0].convert.io == "int8"
    assert config.baseline.train.learning_rate == 5e-4
    assert config.baseline.params == {"hidden": [16, 16]}
    assert config.gate.threshold("size_gzip_bytes") == CostThreshold(max_ratio=0.5)
    assert config.gate.threshold("accuracy") == ShareThreshold(max_drop=0.02)
    assert config.dataset.train_examples == 100


def test_the_later_override_wins(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, GOOD), ["name=a", "name=b"]).name == "b"


def test_an_override_can_mend_a_file(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, GOOD.replace("0.5}", "5}")), ["recipes.small.prune.final_sparsity=0.5"]).name == "demo"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name", "--set name: must be KEY=VALUE with a dotted key"),
        ("=x", "--set =x: must be KEY=VALUE with a dotted key"),
        ("a..b=1", "--set a..b=1: must be KEY=VALUE with a dotted key"),
        ("name=[", "--set name=[:1:2: broken YAML, "),
        ("nme=x", "--set nme=x: nme: unknown key; did you mean 'name'?"),
        ("gate.accuracy.max_drop=2", "--set gate.accuracy.max_drop=2: gate.accuracy.max_drop: must be at most 1, is 2"),
        ("gate.accuracy={max_drop: 2}", "--set gate.accuracy={max_drop: 2}: gate.accuracy.max_drop: must be at most 1, is 2"),
        ("recipes.smal.prune=null", "--set recipes.smal.prune=null: recipes has no 'smal'; did you mean 'small'? there are: int8, small"),
        ("recipes.7.prune=null", "--set recipes.7.prune=null: recipes has no '7'; there are: int8, small"),
        ("baseline.params.hidden.3=1", "--set baseline.params.hidden.3=1: baseline.params.hidden has 1 items, so give an index below 1"),
        ("name.x=1", "--set name.x=1: name is the text 'demo', so it has no key 'x'"),
        ("baseline.module=m.py", "c.yaml:3: baseline: needs exactly one of model, module, from; has model, module"),
        ("dataset.source=none.npz", "--set dataset.source=none.npz: dataset.source: there is no none.npz; give digits"),
        ("recipes=[]", "--set recipes=[]: recipes: needs at least 1, has none"),
        ("schema_version=2", "--set schema_version=2: schema_version: is 2, but"),
    ],
)
def test_overrides_refused_in_one_line(override: str, message: str, tmp_path: Path) -> None:
    assert refusal(write(tmp_path, GOOD), override).startswith(message)


def test_a_cron_expression_is_told_with_the_quotes_that_it_needs() -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(DIGITS, ["schedule.cron=*/5 * * * *"])
    said, _, advice = str(refused.value).rpartition("; if it is text, write ")
    assert said.startswith("--set schedule.cron=*/5 * * * *:1:2: broken YAML, ")
    assert advice == """--set "schedule.cron='*/5 * * * *'\""""
    settings = load_config(DIGITS, shlex.split(advice)[1:]).schedule
    assert settings is not None
    assert settings.cron == "*/5 * * * *"


@pytest.mark.parametrize("override", ["gate.accuracy={min: [}", "name='x", "name=*$HOME", "recipes=[", "name=*`x`"])
def test_no_quotes_are_advised_where_they_would_not_help(override: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(DIGITS, [override])
    assert '--set "' not in str(refused.value)
