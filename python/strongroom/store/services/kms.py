"""AWS KMS. What is sealed with it the AWS Encryption SDK opens with its KMS keyring, and the other way round.

The wrapped key is the CiphertextBlob of KMS's Encrypt, its information the full ARN of the key, and KMS gets
the encryption context of the message: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/.
"""

import importlib.util
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from strongroom.errors import SettingsError, StoreError
from strongroom.options import Options
from strongroom.quantities import invalid
from strongroom.store.services.address import address_of

__all__ = ["AwsKms", "KmsClient"]

ARN = re.compile(
    r"arn:aws[a-z-]{0,20}:kms:(?P<region>[a-z0-9-]{1,40}):[0-9]{12}:key/[A-Za-z0-9-]{1,128}", re.ASCII
)
REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)

CONNECT_TIMEOUT = 5
READ_TIMEOUT = 10
"""Seconds, of one attempt."""
ATTEMPTS = 3

REASONS: Mapping[str, str] = {
    "AccessDeniedException": "it denies it to these credentials",
    "DependencyTimeoutException": "it timed out",
    "DisabledException": "the key is disabled",
    "ExpiredTokenException": "the credentials have expired",
    "IncorrectKeyException": "another key wrapped it",
    "InvalidCiphertextException": "the wrapped key was changed, or is another context's",
    "InvalidClientTokenId": "it doesn't know these credentials",
    "InvalidKeyUsageException": "the key is none for encryption",
    "InvalidSignatureException": "it doesn't know these credentials",
    "KMSInternalException": "it failed",
    "KMSInvalidStateException": "the key is in no state to be used: pending deletion, or unavailable",
    "KeyUnavailableException": "the key is not available",
    "LimitExceededException": "it has had too many requests",
    "NotFoundException": "there is no such key in this region",
    "ThrottlingException": "it has had too many requests",
    "UnrecognizedClientException": "it doesn't know these credentials",
}
"""What its errors mean. Their own text isn't repeated."""


@runtime_checkable
class KmsClient(Protocol):
    """What is asked of a client: boto3's has it."""

    def encrypt(self, **request: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as boto3 has it
        """Wrap a key."""

    def decrypt(self, **request: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as boto3 has it
        """Unwrap a key."""


@dataclass(frozen=True, kw_only=True)
class AwsKms(Options):
    """A symmetric key in AWS KMS, named by its full ARN; no other is ever asked to decrypt.

    Credentials are found as boto3 finds them. Needs the extra `strongroom[aws]`.
    """

    key: str
    """Its ARN, `arn:aws:kms:REGION:ACCOUNT:key/ID`; an alias is refused, for what it means can change."""
    region: str | None = None
    """That the client is of; default the ARN's."""
    endpoint: str | None = None
    """Address to ask instead of the region's: https://…, or http to a loopback address."""
    client: KmsClient | None = field(default=None, repr=False, compare=False)
    """A client of your own, such as `boto3.client("kms")`, with its own timeouts and credentials."""

    def __post_init__(self) -> None:
        """Check every option."""
        key: object = self.key
        if not isinstance(key, str) or not ARN.fullmatch(key):
            raise invalid("key", key, "the ARN of a key in AWS KMS, arn:aws:kms:REGION:ACCOUNT:key/ID")
        region: object = self.region
        if region is not None and not (isinstance(region, str) and REGION.fullmatch(region)):
            raise invalid("region", region, "the name of a region")
        if self.endpoint is not None:
            address_of("endpoint", self.endpoint)
        client: object = self.client
        if client is None:
            return
        if not isinstance(client, KmsClient):
            raise invalid("client", client, 'a client, as boto3.client("kms") makes it')
        if region is not None or self.endpoint is not None:
            raise SettingsError("settings.conflict", "a client has a region and an endpoint of its own")

    @property
    def provider(self) -> str:
        """The format's name for AWS KMS."""
        return "aws-kms"

    @property
    def name(self) -> str:
        """The ARN."""
        return self.key

    def require(self) -> None:
        """Look for the client library. Raises SettingsError."""
        if self.client is None and importlib.util.find_spec("boto3") is None:
            raise SettingsError(
                "settings.unavailable",
                f"the key {self.key} is in AWS KMS, and boto3 isn't installed",
                "pip install strongroom[aws]",
            )

    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Let KMS encrypt a data key. Raises StoreError."""
        with answered(), unlogged():
            answer = self.asked.encrypt(KeyId=self.key, Plaintext=data_key, EncryptionContext=dict(context))
            self.check(answer)
            return self.key.encode(), bytes(answer["CiphertextBlob"])

    def unwrap(self, info: bytes, wrapped: bytes, context: Mapping[str, str]) -> bytearray | None:
        """Let KMS decrypt a data key, if it is this very key that wrapped it. Raises StoreError."""
        if info != self.key.encode():
            return None
        with answered(), unlogged():
            answer = self.asked.decrypt(
                KeyId=self.key, CiphertextBlob=wrapped, EncryptionContext=dict(context)
            )
            self.check(answer)
            return bytearray(answer["Plaintext"])

    def check(self, answer: Mapping[str, Any]) -> None:
        """Hold an answer to be this key's."""
        if answer["KeyId"] != self.key:
            raise StoreError("store.service", "AWS KMS answered for another key")

    @cached_property
    def asked(self) -> KmsClient:
        """The client, which is safe to use from many threads."""
        if self.client is not None:
            return self.client
        self.require()
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, and slow to import
        from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415

        matched = ARN.fullmatch(self.key)
        assert matched is not None  # noqa: S101 - checked when it was made
        client: KmsClient = boto3.session.Session().client(
            "kms",
            region_name=self.region or matched["region"],
            endpoint_url=self.endpoint,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                # No variable or profile sends a data key elsewhere.
                ignore_configured_endpoint_urls=True,
            ),
        )
        return client


@contextmanager
def answered() -> Iterator[None]:
    """Tell what the client raises in words that hold nothing of what was sent or answered."""
    try:
        yield
    except (StoreError, SettingsError):
        raise
    except Exception as error:  # noqa: BLE001 - a client may be anybody's, and botocore's have two roots
        raise StoreError("store.service", f"AWS KMS: {reason_of(error)}") from None


def reason_of(error: Exception) -> str:
    """Say why a request failed."""
    answer: object = getattr(error, "response", None)  # of botocore's ClientError
    if isinstance(answer, dict):
        code = answer.get("Error", {}).get("Code")
        if isinstance(code, str) and code.isalnum() and len(code) <= 60:
            return f"{REASONS.get(code, 'it refuses it')} ({code})"
        return "it refuses it"
    kind = type(error).__name__
    match kind:
        case "NoCredentialsError" | "PartialCredentialsError" | "CredentialRetrievalError":
            return f"there are no credentials for it ({kind})"
        case "EndpointConnectionError" | "ConnectTimeoutError" | "ConnectionClosedError" | "ReadTimeoutError":
            return f"it can't be reached, or doesn't answer ({kind})"
        case "SSLError":
            return "its certificate can't be verified (SSLError)"
    return f"it can't be asked ({kind})"


LOUD = ("botocore.endpoint", "botocore.parsers")
"""Where botocore logs requests and answers as they are, data keys among them, at the level DEBUG."""

silence = threading.local()


def is_loggable(_record: logging.LogRecord) -> bool:
    """Whether this thread isn't asking for a key just now."""
    return not getattr(silence, "depth", 0)


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep what botocore logs of this thread's requests out of every log, whoever asked for its details."""
    for logger in map(logging.getLogger, LOUD):
        logger.addFilter(is_loggable)  # which adds it once
    silence.depth = getattr(silence, "depth", 0) + 1
    try:
        yield
    finally:
        silence.depth -= 1
