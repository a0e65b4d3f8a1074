"""Addresses of servers: none may carry who asks."""


def holds_credentials(url: str) -> bool:
    """Whether a URL may hold a name or a password, as in ``http://user:password@host``.

    Addresses reach logs, error messages and compiled pipelines, which more people read than may know a password. Any ``@`` counts: a
    password with a slash in it is not where a parser looks for one.
    """
    return "@" in url
