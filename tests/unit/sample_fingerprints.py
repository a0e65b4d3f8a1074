"""Fingerprints and verdicts that differ where a test says."""

from edgepress.contracts.last_verdict import Fingerprint, LastVerdict
from edgepress.contracts.verdict import Outcome


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def fingerprint(dataset: int = 0, code: int = 0, config: int = 0) -> Fingerprint:
    return Fingerprint(code=digest(code), configuration=digest(config), dataset=digest(dataset))


def verdict(of: Fingerprint | None, outcome: Outcome = "rejected", run_id: str = "before") -> LastVerdict:
    return LastVerdict(run_id=run_id, started_unix_s=1.0, fingerprint=of, outcome=outcome)
