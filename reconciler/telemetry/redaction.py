"""The one place that takes secrets out of log lines, statuses, comments and pages."""

import re
from urllib.parse import quote

MASK = "***"
_SHORTEST = 8
"""Characters: masking shorter secrets would garble everything else."""

_SUSPECT = re.compile(
    r"private key-----|://|[?&]|\"|bearer|authorization|dockerconfig|eyj|gh[pousr]_|github_pat_|glpat-|hf_",
    re.I,
)
"""Most texts have nothing of this, and are not searched further."""

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        MASK,
    ),
    (re.compile(r"(?<=://)[^/@\s]+(?=@)"), MASK),
    (
        re.compile(r"([?&](?:sig|token|access_token|private_token|password)=)[^&\s\"']+", re.I),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]{12,}", re.I), rf"\1{MASK}"),
    (
        re.compile(r"(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:\w+\s+)?)[^\s\"',}]+", re.I),
        rf"\1{MASK}",
    ),
    (re.compile(r"(dockerconfig(?:json)?[\"']?\s*[:=]\s*[\"']?)[\w+/=]{8,}", re.I), rf"\1{MASK}"),
    (
        re.compile(r"(\\?\"(?:auth|password|identitytoken|registrytoken)\\?\"\s*:\s*\\?\")[^\"\\]+", re.I),
        rf"\1{MASK}",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_)[\w-]{16,}"), MASK),
)

_registered: set[str] = set()


def register_secret(value: str) -> None:
    """`value`, plain or as part of a URL, never leaves this process in text from now on."""
    for form in (value.strip(), quote(value.strip(), safe="")):
        if len(form) >= _SHORTEST:
            _registered.add(form)


def redacted(text: str) -> str:
    """`text` with everything that looks like a credential, and every registered secret, masked."""
    for secret in sorted(_registered, key=len, reverse=True):
        text = text.replace(secret, MASK)
    if _SUSPECT.search(text):
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
    return text
