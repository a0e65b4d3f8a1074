"""Starting a process as a terminal's foreground job is, wherever the tests themselves run."""

import signal


def heed_interrupts() -> None:
    """For ``Popen``'s ``preexec_fn``: a shell that starts a job in the background lets it and its children ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
