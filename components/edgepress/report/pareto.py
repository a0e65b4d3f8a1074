"""The Pareto front: models that no other model beats in one respect without losing in the other."""

from collections.abc import Iterable

Point = tuple[float, float]


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """Of (cost, accuracy) points, those that no other point equals or betters in both and betters in one; by rising cost."""
    front: list[Point] = []
    for cost, accuracy in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((cost, accuracy))
    return front
