"""How long something took, for people."""


def format_duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``1m 05s``, ``2h 03m``."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
