"""Clients for S3: how long they wait, and whose credentials they use."""

import functools
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, PartialCredentialsError, ProfileNotFound
from botocore.loaders import Loader, create_loader

from edgepress.contracts.endpoint import holds_credentials
from edgepress.errors import ConfigError, StorageError, one_line

EMBEDDED_ENDPOINT_VARIABLE = "EDGEPRESS_EMBEDDED_STORE"
"""Set by the embedded store to its endpoint. Only there does a missing bucket get created: elsewhere it may be a spelling mistake."""

EMBEDDED_ACCESS_KEY_VARIABLE = "EDGEPRESS_EMBEDDED_ACCESS_KEY_ID"
EMBEDDED_SECRET_KEY_VARIABLE = "EDGEPRESS_EMBEDDED_SECRET_ACCESS_KEY"  # noqa: S105 - a name
"""Credentials for the embedded store's endpoint alone, so that AWS_* stay the user's own, for the data sources."""

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 20
ATTEMPTS = 3
"""With the timeouts above, an endpoint that swallows packets is given up after about 12 s, one that never answers after 65 s."""

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Where a client finds its endpoint when it is given none, the first that is set."""

CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def connect(endpoint_url: str | None) -> Any:
    """A client of botocore's. Contacts nobody.

    Raises:
        ConfigError: the endpoint or the profile cannot be used.
        StorageError: only one half of the credentials is given.
    """
    for name in ENDPOINT_VARIABLES:
        _refuse_credentials_in(name, os.environ.get(name, ""))
    own_endpoint = endpoint_url or next(filter(None, map(os.environ.get, ENDPOINT_VARIABLES)), None)
    loopback = own_endpoint is not None and urlsplit(own_endpoint).hostname in ("127.0.0.1", "::1", "localhost")
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # A server of one's own seldom has a DNS name per bucket, and not every one knows Amazon's newer checksum trailers.
        s3={"addressing_style": "path" if own_endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={} if loopback else None,
    )
    access_key, secret_key = _own_credentials(endpoint_url)
    try:
        session = _session()
        client = session.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=session.region_name or "us-east-1",
            config=config,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
        )
    except PartialCredentialsError as error:
        raise StorageError(f"{own_endpoint or 'S3'}: the credentials are incomplete; set both {CREDENTIALS}") from error
    except ProfileNotFound as error:
        raise ConfigError(f"AWS_PROFILE: {one_line(error)}; correct it, or unset it and set {CREDENTIALS}") from error
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"{own_endpoint or 'S3'}: cannot be used as an endpoint ({one_line(error)})") from error
    _refuse_credentials_in("endpoint_url in the AWS configuration", client.meta.endpoint_url)
    return client


def _refuse_credentials_in(origin: str, url: str) -> None:
    if holds_credentials(url):
        raise ConfigError(f"{origin}: holds a name or a password; take it out and set {CREDENTIALS}")


def _session() -> boto3.session.Session:
    """Settings and credentials as the environment has them at this moment; Amazon's description of S3 as it was read before."""
    core = botocore.session.get_session()
    core.register_component("data_loader", _descriptions(core.get_config_variable("data_path")))
    return boto3.session.Session(botocore_session=core)


@functools.cache
def _descriptions(data_path: str | None) -> Loader:
    """One for every client of this process: reading them anew is nine tenths of the time that it takes to make a client."""
    return create_loader(data_path)


def _own_credentials(endpoint_url: str | None) -> tuple[str | None, str | None]:
    """Key and secret of the embedded store, when that is where the endpoint is; otherwise botocore looks for the user's."""
    if endpoint_url is None or os.environ.get(EMBEDDED_ENDPOINT_VARIABLE) != endpoint_url:
        return None, None
    return os.environ.get(EMBEDDED_ACCESS_KEY_VARIABLE), os.environ.get(EMBEDDED_SECRET_KEY_VARIABLE)


def answers_to(endpoint_url: str, access_key: str, secret_key: str) -> bool:
    """Whether a server answers there, within a second, and takes these credentials."""
    server = urlsplit(endpoint_url)
    with socket.socket() as probe:  # a client is dear to make while nobody listens yet
        if probe.connect_ex((server.hostname, server.port)) != 0:
            return False
    config = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1}, proxies={})
    client = _session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )
    try:
        client.list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True
