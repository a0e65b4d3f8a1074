import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.report import quantities
from edgepress.report.pareto import pareto_front


def plain(text: str) -> str:
    """With ordinary spaces and signs, to be readable here."""
    for sign, ascii_sign in ((quantities.NBSP, " "), (quantities.MINUS, "-"), (quantities.TIMES, "x")):
        text = text.replace(sign, ascii_sign)
    return text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (quantities.percent(0.9179), "91.79 %"),
        (quantities.points(0.003), "-0.30 pt"),
        (quantities.points(-0.0006), "+0.06 pt"),
        (quantities.points(0.00001), "\N{PLUS-MINUS SIGN}0.00 pt"),
        (quantities.size(316_228), "316.2 kB"),
        (quantities.size(999), "999 bytes"),
        (quantities.size(2_500_000), "2.5 MB"),
        (quantities.milliseconds(0.467), "0.467 ms"),
        (quantities.milliseconds(12.345), "12.3 ms"),
        (quantities.milliseconds(1234.5), "1,234 ms"),
        (quantities.milliseconds(0), "0 ms"),
        (quantities.ratio(0.2714), "0.271x"),
        (quantities.ratio(3.14159), "3.14x"),
        (quantities.count(78_378), "78,378"),
        (quantities.short_count(7_890_000), "7.9 M"),
        (quantities.short_count(42), "42"),
        (quantities.seconds(142.4), "2 min 22 s"),
        (quantities.seconds(3.14), "3.1 s"),
        (quantities.check_quantity("accuracy.min", 0.9), "90.00 %"),
        (quantities.check_quantity("accuracy.max_drop", 0.01), "1.00 pt"),
        (quantities.check_quantity("size_bytes.max", 100_000.0), "100.0 kB"),
        (quantities.check_quantity("latency_p50_ms.max_ratio", 0.5), "0.500x"),
        (quantities.quantity("epochs_run", 4), "4"),
        (quantities.quantity("learning_rate", 1e-3), "0.001"),
        (quantities.quantity("final_sparsity", 0.5), "50.00 %"),
        (quantities.quantity("symmetric", True), "yes"),
        (quantities.quantity("end_step", None), "none"),
        (quantities.quantity("schedule", "polynomial"), "polynomial"),
        (quantities.quantity("image_size", [28, 28]), "28, 28"),
    ],
)
def test_numbers_carry_their_units(shown: str, expected: str) -> None:
    assert plain(shown) == expected


@pytest.mark.parametrize(
    "show", [quantities.percent, quantities.points, quantities.size, quantities.milliseconds, quantities.ratio, quantities.count]
)
def test_what_was_not_measured_says_so(show: object) -> None:
    assert show(None) == "not measured"  # type: ignore[operator]


def test_nested_settings_become_dotted() -> None:
    nested = {"alpha": 0.7, "student": {"model": "resnet8", "params": {"width": 6}}}
    assert quantities.flatten(nested) == {"alpha": 0.7, "student.model": "resnet8", "student.params.width": 6}


@given(st.lists(st.tuples(st.integers(1, 20).map(float), st.integers(0, 20).map(float)), max_size=20))
def test_front_holds_exactly_the_points_that_nothing_dominates(points: list[tuple[float, float]]) -> None:
    def dominated(point: tuple[float, float]) -> bool:
        return any(other != point and other[0] <= point[0] and other[1] >= point[1] for other in points)

    assert pareto_front(points) == sorted({point for point in points if not dominated(point)})
