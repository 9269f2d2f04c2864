"""From the places where settings may stand to one checked tree."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from strongroom.configuration import environment as variables
from strongroom.configuration import file
from strongroom.configuration.origin import CODE, COMMAND_LINE, DEFAULT, Given, Origin
from strongroom.configuration.schema import ELSEWHERE, Leaf, branches, leaves, subtree
from strongroom.errors import SettingsError
from strongroom.options import Options, misspelt
from strongroom.quantities import bytes_of, invalid
from strongroom.settings import Settings
from strongroom.trust.policy import LEVELS, ModelVerification, TrustedSource

__all__ = ["Configuration", "composed", "configure", "load_settings"]

UNBOUNDED = 2**64


@dataclass(frozen=True)
class Configuration:
    """Settings, and how they came about."""

    settings: Settings
    file: str | None
    """The file that was read."""
    origins: Mapping[str, Origin]
    """Of every option."""

    def value(self, name: str) -> object:
        """Return the value of an option by its name outside."""
        branch, _, option = name.rpartition(".")
        here: object = self.settings
        for part in inside(branch).split("."):
            here = getattr(here, part)
        return getattr(here, option)


def inside(branch: str) -> str:
    """Return where a branch is in the tree."""
    for path, outside in ELSEWHERE.items():
        if branch == outside or branch.startswith(f"{outside}."):
            return path + branch.removeprefix(outside)
    return branch


def load_settings(
    path: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings that the configuration file and the environment make.

    The file is `path`; without it the one that STRONGROOM_CONFIG names, or
    `$XDG_CONFIG_HOME/strongroom/strongroom.toml` (`~/.config/…`) where there is one. `environment` stands
    in for `os.environ`. `overrides` are options by name, as `{"limits.context_length": 2048}`, and take
    precedence over both; a variable takes precedence over the file, the file over the defaults.

    Raises SettingsError, which names the option, where its value came from, and what to do.
    """
    return configure(path, environment=environment, code=overrides).settings


def configure(
    path: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, object] | None = None,
    code: Mapping[str, object] | None = None,
) -> Configuration:
    """Do what `load_settings` does, and keep where each value came from."""
    outside = os.environ if environment is None else environment
    overrides = {} if code is None else code
    refuse_others("environment", outside, of_text=True)
    refuse_others("overrides", overrides)
    named_file = file.find(path, outside)
    found = None if named_file is None else file.read(named_file)
    return composed(found, outside, command_line or {}, overrides)


def refuse_others(option: str, value: object, *, of_text: bool = False) -> None:
    """Refuse what is no mapping; or, where it stands for the environment, one of other things than text."""
    expected = "a mapping of strings to strings" if of_text else "a mapping of options to values"
    if not isinstance(value, Mapping):
        raise invalid(option, value, expected)
    for one in (one for item in value.items() for one in item if of_text and not isinstance(one, str)):
        raise invalid(option, one, expected)


def composed(
    found: file.Found | None,
    outside: Mapping[str, str],
    command_line: Mapping[str, object],
    code: Mapping[str, object],
) -> Configuration:
    """Lay what was found over the defaults, and check the whole."""
    given = {} if found is None else dict(found.options)
    has_policy = found is not None and "trust" in found.tables
    if found is not None and has_policy:
        given.setdefault("trust.lock", lock_beside(found.path))
        # A policy asks for proof: no variable waives it.
        given.setdefault(
            "security.verification", Given("always", Origin("default", f"[trust] in {found.path}"))
        )
    set_by_variables = variables.read(outside, given)
    if has_policy:
        refuse_weakening(given, set_by_variables)
        refuse_other_hosts(given, set_by_variables)
    given |= set_by_variables
    given |= named(command_line, COMMAND_LINE)
    given |= named(code, CODE)
    settings = built(given)
    refuse_contradiction(settings, outside)
    origins = {name: given[name].origin if name in given else DEFAULT for name in leaves()}
    return Configuration(settings, None if found is None else found.path, MappingProxyType(origins))


def lock_beside(path: str) -> Given:
    """Return the default of `trust.lock` where a file has a [trust] table."""
    directory = os.path.realpath(os.path.dirname(path))  # noqa: PTH120 - the text as it is
    return Given(os.path.join(directory, "strongroom.lock"), Origin("default", f"beside {path}"))  # noqa: PTH118


def refuse_weakening(below: Mapping[str, Given], above: Mapping[str, Given]) -> None:
    """Refuse variables that ask for less than the file's [trust] does: they may ask for more."""
    said = {name: value for name, value in below.items() if name.startswith("trust.")}
    over = {name: value for name, value in above.items() if name.startswith("trust.")}
    if not over:
        return
    before, after = (built(options).security.model_verification for options in (said, said | over))
    for option in weakened(before, after, moved=said["trust.lock"].origin.kind == "default"):
        name = f"trust.{option}"
        raise SettingsError(
            "settings.conflict",
            f"{over[name].origin} would weaken {name} ({said[name].origin})",
            "unset the variable, or change the file",
        )


def refuse_other_hosts(below: Mapping[str, Given], above: Mapping[str, Given]) -> None:
    """Refuse variables by which a source that the file's [trust] names would be another host."""
    sources = below.get("trust.trusted_sources")
    if sources is None or not sources.value:
        return
    for name in ("sources.hf_endpoint", "sources.ca_file"):
        said = below[name].value if name in below else leaves()[name].field.default
        if name in above and above[name].value != said:
            raise SettingsError(
                "settings.conflict",
                f"{above[name].origin} would change what the trusted sources of the file are",
                f"unset the variable, or write {name} in the file",
            )


def weakened(before: ModelVerification, after: ModelVerification, *, moved: bool) -> Iterator[str]:
    """Return the options by which a policy asks for less; the record may be elsewhere where it is `moved`."""
    if LEVELS.index(after.proof) < LEVELS.index(before.proof):
        yield "proof"
    if before.call_proof == "reserved" and after.call_proof != "reserved":
        yield "call_proof"
    if before.lock not in {"off", after.lock} and not (moved and after.lock != "off"):
        yield "lock"
    if size_of(after) > size_of(before):
        yield "max_size"
    if not set(after.architectures or ()) <= set(before.architectures or after.architectures or ()):
        yield "architectures"
    if before.sources and not all(within(source, before.sources) for source in after.sources):
        yield "trusted_sources"


def size_of(policy: ModelVerification) -> int:
    """Return the most that a policy lets a file have."""
    return UNBOUNDED if policy.max_size is None else bytes_of("max_size", policy.max_size)


def within(source: TrustedSource, bounds: Iterable[TrustedSource]) -> bool:
    """Whether everything in a source is in one of others."""
    for bound in bounds:
        if str(source) == str(bound):
            return True
        if source.root and bound.root and source.root.startswith(f"{bound.root.rstrip('/')}/"):
            return True
    return False


def refuse_contradiction(settings: Settings, environment: Mapping[str, str]) -> None:
    """Refuse to be told that no signature is wanted where something asks for one."""
    policy = settings.security.model_verification
    if variables.signatures_wanted(environment) is False and policy.signatures:
        raise SettingsError(
            "settings.conflict",
            f"{variables.SIGNATURES} is false, but the trust policy asks for signatures",
            "unset the variable, or take the demand out of the policy",
        )


def named(options: Mapping[str, object], origin: Origin) -> dict[str, Given]:
    """Take options by name."""
    for name in options:
        if name not in leaves():
            raise SettingsError(
                "settings.unknown_option", f"{misspelt(name, leaves(), 'Settings')} (set in {origin})"
            )
    return {name: Given(value, origin) for name, value in options.items()}


def built(given: Mapping[str, Given]) -> Settings:
    """Build the tree from its leaves up; each dataclass checks its own."""
    made: dict[str, Options] = {}
    for name, branch in reversed(list(branches().items())):
        own = {leaf.field.name: leaf for leaf in leaves().values() if leaf.branch is branch}
        values = {option: given[leaf.name] for option, leaf in own.items() if leaf.name in given}
        below = {
            field.name: made[outside_of(name, field.name)]
            for field in fields(branch)  # type: ignore[arg-type]  # subclasses are dataclasses
            if subtree(field)
        }
        try:
            made[name] = branch(**below, **{option: value.value for option, value in values.items()})
        except SettingsError as error:
            raise blamed(error, branch, {own[option]: value for option, value in values.items()}) from None
    settings = made[""]
    assert isinstance(settings, Settings)  # noqa: S101 - as `branches` says
    return settings


def outside_of(branch: str, option: str) -> str:
    """Return the name outside of a branch that is an option of another."""
    path = f"{inside(branch)}.{option}".lstrip(".")
    return ELSEWHERE.get(path, f"{branch}.{option}".lstrip("."))


def blamed(error: SettingsError, branch: type[Options], values: Mapping[Leaf, Given]) -> SettingsError:
    """Say which option was refused and where it was set: the one that is refused by itself, or all."""
    for leaf, value in values.items():
        try:
            branch(**{leaf.field.name: value.value})
        except SettingsError as alone:
            if alone.args == error.args:
                return at(error, [(leaf, value)])
    return at(error, values.items())


def at(error: SettingsError, places: Iterable[tuple[Leaf, Given]]) -> SettingsError:
    """Add origins to an error."""
    where = "; ".join(f"{leaf.name} is set in {value.origin}" for leaf, value in places)
    message = f"{error.message} ({where})" if where else error.message
    return SettingsError(error.code, message, error.next_step)
