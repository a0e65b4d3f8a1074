"""What goes wrong between a client and KFP, chosen by the test."""

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["refuse", "drop", "lose answer", "cut answer", "slow", "login page"]


@dataclass
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: ``refuse``: an error is answered and nothing done; ``drop``: the connection ends and nothing is done; ``lose answer``: it is
            done, then the connection ends; ``cut answer``: it is done, half of the answer arrives; ``slow``: it is answered after
            ``delay_s``; ``login page``: a page is answered in place of the API's JSON.
        at: requests that it befalls, a pattern for ``METHOD /path``.
        times: how many of them.
        status, retry_after: of an answer that refuses.
    """

    kind: Kind
    at: str = ".*"
    times: int = 1
    status: int = 503
    retry_after: str | None = None
    delay_s: float = 0.0


@dataclass
class Faults:
    """Those that are still to come."""

    coming: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        with self.lock:
            self.coming.append(fault)

    def clear(self) -> None:
        with self.lock:
            self.coming.clear()

    def take(self, request: str) -> Fault | None:
        """The fault of a request, used up."""
        with self.lock:
            found = next((fault for fault in self.coming if re.search(fault.at, request)), None)
            if found is not None:
                found.times -= 1
                if found.times <= 0:
                    self.coming.remove(found)
            return found
