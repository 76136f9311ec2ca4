"""A certificate for servers on loopback, kept in a folder so that clients go on trusting it."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=365)


class Certificate:
    """`tls.crt` and `tls.key` in `folder`, made where they are not there yet."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tls.crt"
        self._key = folder / "tls.key"
        if not self._key.exists():
            folder.mkdir(parents=True, exist_ok=True)
            self._make()

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.path, self._key)
        return context

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self.path.write_bytes(_signed(key).public_bytes(serialization.Encoding.PEM))
        self._key.touch(mode=0o600)
        self._key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def _signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "development cluster")])
    now = datetime.now(UTC)
    uses = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                **uses, digital_signature=True, key_cert_sign=True, encipher_only=False, decipher_only=False
            ),
            critical=True,
        )
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
