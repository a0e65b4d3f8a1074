"""The receiver's bearer tokens: a file that is read for each request, so that a rotated Secret counts at once."""

import hmac
from pathlib import Path

from edgepress.errors import InputError

MIN_TOKEN_CHARACTERS = 16
SCHEME = "bearer"


class TokenFile:
    """A file with one token a line; each is accepted, so that the next one can be handed out before the last is withdrawn."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[str, ...]:
        """The tokens.

        Raises:
            InputError: the file cannot be read, has no token, or one that is no token.
        """
        try:
            lines = self._path.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
            raise InputError(f"--receiver-token-file {self._path}: cannot be read ({reason})") from error
        tokens = tuple(line.strip() for line in lines if line.strip())
        if not tokens:
            raise InputError(f"--receiver-token-file {self._path}: is empty; write a token into it, e.g. from `openssl rand -hex 32`")
        if any(len(token) < MIN_TOKEN_CHARACTERS or not token.isprintable() or " " in token for token in tokens):
            raise InputError(
                f"--receiver-token-file {self._path}: holds a token that is shorter than {MIN_TOKEN_CHARACTERS} characters or has a blank; "
                "take one from `openssl rand -hex 32`"
            )
        return tokens

    def accepts(self, authorization: str | None) -> bool:
        """Whether a header ``Authorization`` carries one of the tokens (RFC 6750, 2.1). Takes as long for a wrong one as for a right one.

        Raises:
            InputError: there is no token to compare with.
        """
        scheme, _, given = (authorization or "").partition(" ")
        presented = given.strip().encode()
        matches = [hmac.compare_digest(presented, token.encode()) for token in self.read()]
        return scheme.lower() == SCHEME and any(matches)
