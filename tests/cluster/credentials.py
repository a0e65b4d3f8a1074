"""Keys, certificates and tokens of one control plane, made anew for each start and gone with its folder."""

import datetime as dt
import ipaddress
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK = "127.0.0.1"
ADMIN = "admin"
NODE = "edgepress-node"
"""The name of the real node, where there is one."""
NODE_USER = f"system:node:{NODE}"
POLICY_ENGINE = "kube-network-policies"
USERS = {
    ADMIN: "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "kwok": "system:masters",
    NODE_USER: "system:nodes",
    "system:kube-proxy": "",
    POLICY_ENGINE: "system:masters",
}
"""User name: its group. The other rights of Kubernetes' own components are those of its own RBAC policy."""
_LIFETIME = dt.timedelta(days=2)


@dataclass(frozen=True)
class Credentials:
    """Files of one control plane, readable by their owner only.

    Attributes:
        authority: certificate that the API server's own is signed with.
        certificate, key: of the API server, for the addresses that it was made for.
        service_account_key, service_account_public_key: that ServiceAccount tokens are signed and checked with.
        tokens: kube-apiserver's static token file.
    """

    folder: Path
    authority: Path
    certificate: Path
    key: Path
    service_account_key: Path
    service_account_public_key: Path
    tokens: Path

    def write_kubeconfig(self, user: str, server_url: str) -> Path:
        """A kubeconfig for one of ``USERS``; its one context is called ``edgepress-tests``."""
        name = "edgepress-tests"
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": server_url, "certificate-authority": str(self.authority)}}],
            "users": [{"name": user, "user": {"token": self.token_of(user)}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
            "current-context": name,
        }
        return _write(self.kubeconfig_of(user), yaml.safe_dump(config, sort_keys=False).encode())

    def kubeconfig_of(self, user: str) -> Path:
        """Where ``write_kubeconfig`` puts one."""
        return self.folder / f"{user.replace(':', '-')}.kubeconfig"

    def token_of(self, user: str) -> str:
        """What one of ``USERS`` presents."""
        return next(line.split(",")[0] for line in self.tokens.read_text().splitlines() if line.split(",")[1] == user)


def make_credentials(folder: Path, addresses: Sequence[str] = (LOOPBACK,)) -> Credentials:
    """Make everything below a new folder.

    Args:
        addresses: at which the API server is reached.
    """
    folder.mkdir(mode=0o700)
    authority_key, key, service_account_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgepress-tests-authority")])
    authority = _unsigned(authority_name, authority_name, authority_key.public_key(), authority_key.public_key(), is_authority=True).sign(
        authority_key, hashes.SHA256()
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    reached_as = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    names = x509.SubjectAlternativeName([*reached_as, x509.DNSName("localhost"), x509.DNSName("kubernetes.default.svc")])
    certificate = (
        _unsigned(server_name, authority_name, key.public_key(), authority_key.public_key(), is_authority=False)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    lines = [f'{secrets.token_urlsafe(32)},{user},{user},"{group}"' for user, group in USERS.items()]
    public = service_account_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    made = credentials_in(folder)
    _write(made.authority, authority.public_bytes(serialization.Encoding.PEM))
    _write(made.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    _write(made.key, _private_pem(key))
    _write(made.service_account_key, _private_pem(service_account_key))
    _write(made.service_account_public_key, public)
    _write(made.tokens, "\n".join(lines).encode())
    return made


def credentials_in(folder: Path) -> Credentials:
    """What ``make_credentials`` made there."""
    return Credentials(
        folder=folder,
        authority=folder / "authority.crt",
        certificate=folder / "apiserver.crt",
        key=folder / "apiserver.key",
        service_account_key=folder / "service-account.key",
        service_account_public_key=folder / "service-account.pub",
        tokens=folder / "tokens.csv",
    )


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, signer: ec.EllipticCurvePublicKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    """With the extensions that strict verification asks for (RFC 5280, sections 4.2.1.1 to 4.2.1.3 and 4.2.1.9)."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path
