"""Values of ``--set`` that are text, and no YAML until they are quoted."""

import shlex
from pathlib import Path

import pytest

from edgepress.errors import ConfigError
from edgepress_pipelines.config_file import load_config

DIGITS = Path(__file__).parents[2] / "pipelines" / "edgepress_pipelines" / "configs" / "digits.yaml"


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
