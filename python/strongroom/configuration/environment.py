"""Options from environment variables: `STRONGROOM_` and the option's name, upper case, `__` for each dot."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from strongroom.configuration.file import VARIABLE
from strongroom.configuration.origin import Given, Origin
from strongroom.configuration.schema import Leaf, leaves
from strongroom.errors import SettingsError
from strongroom.options import misspelt
from strongroom.quantities import invalid
from strongroom.text import utf8_size
from strongroom.trust.policy import LEVELS

__all__ = ["ALIASES", "read", "variable_of"]

PREFIX = "STRONGROOM_"

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "MAX_MEMORY_USAGE": "security.sandboxing.memory_limit",
        "MAX_CPU_USAGE": "security.sandboxing.cpu_limit",
        "MAX_CONCURRENT_REQUESTS": "limits.concurrent_requests",
        "TRUSTED_MODEL_SOURCES": "trust.trusted_sources",
    }
)
"""Other names of variables, and the options that they set."""

SIGNATURES = "VERIFY_MODEL_SIGNATURES"
"""True makes `trust.proof` at least "signature"; false may contradict nothing that asks for one."""

PROTECTIONS = ("security.verification", "security.isolation", "security.erasure", "security.separation")
DANGER = "danger-none"
"""What switches one of them off."""

NO_OPTIONS = frozenset(
    {
        VARIABLE,
        "STRONGROOM_INSTRUCTION_SETS",
        "STRONGROOM_SPECIMEN",
        "STRONGROOM_TEST_MODEL",
        "STRONGROOM_WORKER",
        "STRONGROOM_WORKER_EXECUTABLE",
    }
)
"""Variables of the builds and the tests, and the one that names the file."""

LONGEST = 64 << 10
WORDS = {"true": True, "1": True, "false": False, "0": False}
NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
DECIMAL = re.compile(r"-?\d{1,18}\.\d{1,18}", re.ASCII)


def variable_of(name: str) -> str:
    """Return the variable that sets an option."""
    return PREFIX + name.replace(".", "__").upper()


def read(environment: Mapping[str, str], below: Mapping[str, Given]) -> dict[str, Given]:
    """Return the options that the environment gives; an unknown STRONGROOM_ variable is an error.

    `below` is what the file gives: VERIFY_MODEL_SIGNATURES weakens nothing of it.
    """
    known = {variable_of(name): leaf for name, leaf in leaves().items()}
    given: dict[str, Given] = {}
    for variable, text in sorted(environment.items()):
        if variable in ALIASES:
            leaf = leaves()[ALIASES[variable]]
        elif not variable.startswith(PREFIX) or variable in NO_OPTIONS:
            continue
        elif variable in known:
            leaf = known[variable]
        else:
            raise SettingsError(
                "settings.unknown_option",
                misspelt(variable, known, "the environment"),
                "unset it, or correct its name: `strongroom config check` lists them",
            )
        if leaf.name in given:
            raise SettingsError(
                "settings.conflict", f"{given[leaf.name].origin} and {variable} both set {leaf.name}"
            )
        given[leaf.name] = Given(value_of(variable, text, leaf), Origin("variable", variable))
    refuse_dropping(given, below)
    refuse_dangers(given, below)
    if (wanted := signatures_wanted(environment)) is not None:
        if "trust.proof" in given:
            raise SettingsError(
                "settings.conflict", f"{SIGNATURES} and {given['trust.proof'].origin} both set trust.proof"
            )
        if wanted and not ("trust.proof" in below and below["trust.proof"].value in LEVELS[1:]):
            given["trust.proof"] = Given("signature", Origin("variable", SIGNATURES))
    return given


def refuse_dropping(given: Mapping[str, Given], below: Mapping[str, Given]) -> None:
    """Refuse a list of sources that would drop, unseen, the proofs that the file's sources ask for."""
    sources = below.get("trust.trusted_sources")
    if sources is None or "trust.trusted_sources" not in given or not isinstance(sources.value, list):
        return
    if any(isinstance(item, dict) and item.keys() & {"proof", "signers"} for item in sources.value):
        raise SettingsError(
            "settings.conflict",
            f"{given['trust.trusted_sources'].origin} would drop the proofs that the sources in "
            f"{sources.origin} ask for",
            "unset the variable, or write the sources in the file",
        )


def refuse_dangers(given: Mapping[str, Given], below: Mapping[str, Given]) -> None:
    """Refuse to switch off by a variable what the file says is to be in force."""
    for name in PROTECTIONS:
        if name in given and given[name].value == DANGER and name in below and below[name].value != DANGER:
            raise SettingsError(
                "settings.conflict",
                f"{given[name].origin} would switch off what {below[name].origin} asks for",
                "unset the variable, or write it in the file, if that is meant",
            )


def signatures_wanted(environment: Mapping[str, str]) -> bool | None:
    """Read VERIFY_MODEL_SIGNATURES."""
    if (text := environment.get(SIGNATURES)) is None:
        return None
    if text.lower() not in WORDS:
        raise invalid(SIGNATURES, text, "true or false")
    return WORDS[text.lower()]


def value_of(variable: str, text: str, leaf: Leaf) -> object:
    """Read a variable's text as the kind of value that the option takes; the option checks it."""
    if utf8_size(text) is None or len(text) > LONGEST:
        raise SettingsError(
            "settings.invalid", f"{variable} is not UTF-8 of at most {LONGEST} characters", None
        )
    kinds = set(kinds_of(leaf.hint))
    if kinds & {Sequence, tuple}:
        if leaf.field.metadata.get("tables_only"):
            raise SettingsError(
                "settings.unavailable",
                f"{variable} can't be set by a variable: {leaf.name} is made of tables",
                "write it in the configuration file",
            )
        return tuple(item.strip() for item in text.split(","))
    if bool in kinds and text.lower() in WORDS:
        return WORDS[text.lower()]
    if kinds & {int, float} and NUMBER.fullmatch(text):
        return int(text)
    if float in kinds and DECIMAL.fullmatch(text):
        return float(text)
    return text


def kinds_of(hint: Any) -> list[Any]:  # noqa: ANN401 - annotations have no common type
    """Return the types that an annotation lets pass."""
    if get_origin(hint) is Literal:
        return [type(value) for value in get_args(hint)]
    if get_args(hint) and get_origin(hint) not in {Sequence, tuple}:
        return [kind for part in get_args(hint) for kind in kinds_of(part)]
    return [get_origin(hint) or hint]
