"""TLS on the way to KFP: the certificates to trust, and whether a server that was addressed without it speaks it."""

import contextlib
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from edgepress.errors import InputError

_PROBE_TIMEOUT_S = 5.0


def check_ca_file(path: Path) -> None:
    """Refuse a file of trusted certificates that holds none.

    Raises:
        InputError: it cannot be read, or holds no certificate.
    """
    try:
        path.read_bytes()
    except OSError as error:
        raise InputError(f"--ca-file {path}: cannot be read ({error.strerror})") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLError, ValueError):
        context.load_verify_locations(cafile=path)
    if not context.cert_store_stats()["x509"]:
        raise InputError(f"--ca-file {path}: holds no certificate; give the authority's in PEM")


def speaks_tls(url: str) -> bool:
    """Whether the server of an ``http://`` URL answers a TLS handshake. Nothing is sent through it."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the question is whether there is TLS, not whom it belongs to
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_PROBE_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return True
    except (OSError, ValueError):
        return False
