"""The type of a content digest in a contract. ``edgepress.device.digest`` computes them."""

from typing import Annotated

from pydantic import StringConstraints

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
