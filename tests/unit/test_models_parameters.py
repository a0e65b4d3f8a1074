"""Parameters of built-in architectures."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.contracts.builtin_models import BUILTIN_MODELS, BuiltinModel, ModelChoice, ResNet8Params
from edgepress.errors import ModelError
from edgepress.models.parameters import check_params
from edgepress.tasks.registry import TASKS


def test_every_builtin_model_has_parameters_with_defaults() -> None:
    for model, builtin in BUILTIN_MODELS.items():
        assert isinstance(check_params(ModelChoice(model=model)), builtin.params)


def test_every_task_has_a_builtin_model() -> None:
    assert {task for builtin in BUILTIN_MODELS.values() for task in builtin.tasks} == set(TASKS)


@given(width=st.integers(1, 256), stem_stride=st.sampled_from([1, 2]))
def test_resnet8_takes_its_parameters(width: int, stem_stride: int) -> None:
    params = check_params(ModelChoice(model="resnet8", params={"width": width, "stem_stride": stem_stride}))
    assert params == ResNet8Params(width=width, stem_stride=stem_stride)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "params", "expected"),
    [
        (
            "resnet8",
            {"widht": 8},
            "params.widht: is not a parameter; resnet8 takes width (default 16), stem_stride (default 1), batch_norm",
        ),
        ("resnet8", {"width": 0}, "params.width: Input should be greater than or equal to 1, not 0; resnet8 takes"),
        ("resnet8", {"width": "16"}, 'params.width: Input should be a valid integer, not "16"; resnet8 takes'),
        ("resnet8", {"stem_stride": 3}, "params.stem_stride: Input should be 1 or 2, not 3"),
        ("mlp", {"hidden": 64}, "params.hidden: Input should be a valid array, not 64; mlp takes hidden (default [64, 32])"),
        ("mlp", {"hidden": [64, -1]}, "params.hidden.1: Input should be greater than or equal to 1, not -1"),
        ("ds_cnn", {"dropout": 0.5}, "params.dropout: Input should be less than 0.5, not 0.5"),
        ("mobilenet_v1_025", {"alpha": None}, "params.alpha: Input should be a valid number, not null"),
    ],
)
def test_a_wrong_parameter_is_one_line_that_says_what_is_allowed(model: BuiltinModel, params: dict[str, Any], expected: str) -> None:
    with pytest.raises(ModelError) as raised:
        check_params(ModelChoice(model=model, params=params))
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)
