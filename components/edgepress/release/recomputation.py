"""A verdict judged again from its own policy and metrics: what it says must follow from what it holds."""

from collections.abc import Iterator

from edgepress.contracts.metrics import Metrics
from edgepress.contracts.policy import policy_digest
from edgepress.contracts.thresholds import check_all, decide
from edgepress.contracts.verdict import Check, TargetVerdict, Verdict
from edgepress.tasks.comparisons import LOSS_OF
from edgepress.tasks.registry import METRICS


def find_contradictions(verdict: Verdict) -> Iterator[str]:
    """Where a verdict says other than what follows from its policies and metrics, a sentence each; nothing when it is one.

    The sentences that give reasons are not compared: they are for people, and their wording decides nothing.
    """
    outcomes = {candidate.recipe: candidate.outcome for candidate in verdict.candidates}
    if verdict.nominee is not None and outcomes.get(verdict.nominee) != "nominated":
        yield f"{verdict.nominee} is its nominee, but among its candidates that is {outcomes.get(verdict.nominee, 'missing')}"
    for target in verdict.targets:
        yield from _of_target(target, verdict.baseline.metrics)
    outcome = "passed" if verdict.targets and all(target.outcome == "passed" for target in verdict.targets) else "rejected"
    if verdict.outcome != outcome:
        yield f"it is {verdict.outcome}, but its targets make it {outcome}"


def _of_target(target: TargetVerdict, baseline: Metrics) -> Iterator[str]:
    if target.policy_digest != (found := policy_digest(target.policy)):
        yield f"its policy for {target.channel} has digest {found}, not {target.policy_digest}"
    for name, lost in LOSS_OF.items():
        value, reference, stated = target.metrics.get(name), baseline.get(name), target.metrics.get(lost.name)
        if value is not None and reference is not None and stated is not None and stated != METRICS[name].loss(value, reference):
            yield f"its {lost.name} for {target.channel} is {stated}, but {name} gives {METRICS[name].loss(value, reference)}"
    checks = check_all(target.policy, target.metrics, baseline)
    stated_checks = {check.name: check for check in target.checks}
    if [check.name for check in target.checks] != [check.name for check in checks]:
        names = ", ".join(check.name for check in target.checks) or "none"
        yield f"its checks for {target.channel} are {names}, but its policy demands {', '.join(check.name for check in checks)}"
    for check in checks:
        stated_check = stated_checks.get(check.name)
        if stated_check is not None and _decisive(stated_check) != _decisive(check):
            yield f"its check {check.name} for {target.channel} is {_said(stated_check)}, but policy and metrics give {_said(check)}"
    if target.outcome != (outcome := decide(checks)):
        yield f"its outcome for {target.channel} is {target.outcome}, but its checks make it {outcome}"


def _decisive(check: Check) -> tuple[object, ...]:
    return check.observed, check.interval, check.threshold, check.outcome


def _said(check: Check) -> str:
    return f"{check.outcome} at {check.observed} under the threshold {check.threshold}"
