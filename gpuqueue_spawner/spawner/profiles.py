"""What a request asks for: profile, choices, hours and name, read through KubeSpawner's own code for every spawner.

Knows KubeSpawner's `profile_list` format and user_options. Who posts the result: queueing.py. Who draws it: form.py.
"""

from __future__ import annotations

import copy
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from kubespawner.spawner import KubeSpawner
from traitlets import CFloat, TraitError
from traitlets.config import LoggingConfigurable

from ..model import Constraints, Resources
from ..model.pods import pod_constraints
from ..model.resources import InvalidResources
from .errors import InvalidOption, SpawnRefused

TEMPLATES = str(Path(__file__).parent / "templates")
NAME_LIMIT = 255  #: characters of a job's name
OTHER = "--unlisted-choice"  #: KubeSpawner's suffix of a value that is no choice of the list
AMOUNTS = (  #: KubeSpawner's traits on what a pod takes
    "cpu_guarantee",
    "cpu_limit",
    "mem_guarantee",
    "mem_limit",
    "extra_resource_guarantees",
    "extra_resource_limits",
)
FORM = ("profile_form_template", "additional_profile_form_template_paths")  #: its traits on how the form looks
NODES = ("node_selector", "node_affinity_required", "tolerations")  #: KubeSpawner's traits on where a pod may run
OWN = ("profile", "hours", "job_name")  #: options that are no profile option
SHORTEST = 0.001  #: hours; a shorter time is over before anybody is told that it ends
HOURS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")
COUNT = re.compile(r"[0-9]{1,6}")
REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # would reorder the text around a name


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What one request asks for, checked."""

    resources: Resources
    constraints: Constraints = field(default_factory=Constraints)  #: of a pod, which nodes will do
    lease: float  #: seconds
    name: str = ""
    profile: str = ""  #: display name
    options: Mapping[str, Any] = field(default_factory=dict)  #: user_options, as they would be posted again


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a site allows besides its profiles."""

    default_hours: float
    max_hours: float


class ProfileReader(KubeSpawner):  # type: ignore[misc]  # KubeSpawner ships no types
    """KubeSpawner's parser, form and overrides, without its constructor, which looks for a cluster."""

    # As text too: an unlisted choice renders "{value}" to a string, which KubeSpawner's own Float refuses.
    cpu_guarantee = CFloat(None, allow_none=True)
    cpu_limit = CFloat(None, allow_none=True)

    _spawner: Any = None  # whose request is read

    def __init__(self, **traits: Any) -> None:
        LoggingConfigurable.__init__(self, **traits)

    @classmethod
    def of(
        cls, profile_list: Any, options: Mapping[str, Any] | None = None, *, spawner: Any = None, **site: Any
    ) -> ProfileReader:
        """A reader of one request.

        :param spawner: whose request it is, for what a profile says by a function.
        :param site: what the site has set for every profile, of NODES and FORM.
        """
        # Copies: KubeSpawner merges a profile's node selector into the one that is there, the asking spawner's own.
        reader = cls(user_options=dict(options or {}), **copy.deepcopy(site))
        reader._spawner = spawner
        reader.profile_list = reader._get_initialized_profile_list(reader._sorted_dict_values(profile_list))
        return reader

    def parse_form(self, form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What a submitted form says, unchecked."""
        kubespawners = {name: values for name, values in form.items() if _is_kubespawners(name)}
        options = dict(self._options_from_form(kubespawners))
        for name in ("hours", "job_name"):
            value = (form.get(name) or [""])[0]
            if value:
                options[name] = value
        return options

    def render(self) -> str:
        """KubeSpawner's form, as HTML, from a form.html of ours with its field names, or from the site's own."""
        theirs = "additional_profile_form_template_paths"
        self.set_trait(theirs, [*getattr(self, theirs), TEMPLATES])
        return str(self._render_options_form(self.profile_list))

    def resources(self) -> Resources:
        """What the chosen profile asks for: the guarantee of each resource counts, else its limit.

        :raises InvalidOption: an option whose number no job may ask for.
        """
        profile = self._chosen()
        self._check_options(profile)
        try:
            if profile is not None:
                self._load_profile(profile["slug"], self.profile_list)
        except (ValueError, KeyError, TypeError, TraitError, OverflowError) as error:
            self._blame(error)
        counts = {**self.extra_resource_limits, **self.extra_resource_guarantees}
        gpus = {name: self._count(name, value) for name, value in counts.items() if "/" in name}
        cpus = self._amount("cpu_guarantee", "cpu_limit")
        memory = self._amount("mem_guarantee", "mem_limit")
        try:
            return Resources(cpus=cpus, memory=int(memory), gpus=gpus)
        except InvalidResources as error:
            raise InvalidOption(error.field, error.value, error.allowed) from None

    def constraints(self) -> Constraints:
        """Which nodes the chosen profile's pod will demand, unless a hook has other ideas; after resources()."""
        values = self._sorted_dict_values
        required = {"nodeSelectorTerms": values(self.node_affinity_required)}
        return pod_constraints(
            {
                "nodeSelector": self.node_selector,
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
                "tolerations": values(self.tolerations),
            }
        )

    def _apply_overrides(self, spawner_override: Mapping[str, Any]) -> None:
        """KubeSpawner's, for what is read here; a function is called with the spawner that asks, which has a user."""
        asking = self._spawner or self
        super()._apply_overrides(
            {
                name: (lambda _, value=value: value(asking)) if callable(value) else value
                for name, value in spawner_override.items()
                if name in AMOUNTS or name in NODES
            }
        )

    def _chosen(self) -> dict[str, Any] | None:
        slug = self.user_options.get("profile")
        if slug is not None and not isinstance(slug, str):
            raise InvalidOption("profile", slug, "text")
        if not self.profile_list:
            if slug:
                raise InvalidOption("profile", slug, "none: this Hub has no profiles")
            return None
        by_slug = {profile["slug"]: profile for profile in self.profile_list}
        if not slug:
            return dict(next(profile for profile in self.profile_list if profile.get("default")))
        if slug not in by_slug:
            raise InvalidOption("profile", slug, _one_of(by_slug))
        return dict(by_slug[slug])

    def _check_options(self, profile: Mapping[str, Any] | None) -> None:
        options = (profile or {}).get("profile_options") or {}
        known = {*OWN, *options, *(f"{name}{OTHER}" for name in options)}
        for name in self.user_options:
            if name not in known:
                raise InvalidOption("option", name, _one_of(sorted(known)))
        for name, option in options.items():
            self._check_option(name, option)

    def _check_option(self, name: str, option: Mapping[str, Any]) -> None:
        label = str(option.get("display_name") or name)
        choice, other = self.user_options.get(name), self.user_options.get(f"{name}{OTHER}")
        choices, unlisted = option.get("choices") or {}, option.get("unlisted_choice") or {}
        for value in (choice, other):
            if value is not None and not isinstance(value, str):
                raise InvalidOption(label, value, "text")
        if other is not None:
            if not unlisted.get("enabled"):
                raise InvalidOption(label, other, _one_of(choices))
            allowed = str(unlisted.get("validation_message") or "a value that the profile accepts").rstrip(".")
            # KubeSpawner matches at the start only and takes an empty value for none: "9999\n" and "" would pass.
            if not other or not re.fullmatch(unlisted.get("validation_regex") or r"[^\x00-\x1f\x7f]+", other):
                raise InvalidOption(label, other, allowed)
        elif choice is not None and choice not in choices:
            raise InvalidOption(label, choice, _one_of(choices))

    def _amount(self, guarantee: str, limit: str) -> float:
        trait = limit if getattr(self, guarantee) is None else guarantee
        value = getattr(self, trait)
        option = self._unlisted_option_of(trait)
        if option and not (value is not None and 0 < value < math.inf):
            raise InvalidOption(*option, "more than 0")
        return float(value or 0)

    def _count(self, name: str, value: object) -> int:
        text = value if isinstance(value, str) else str(value) if type(value) is int else ""
        if not COUNT.fullmatch(text) or not text.isascii():
            label, shown = self._unlisted_option_of("extra_resource_", name) or (name, value)
            raise InvalidOption(label, shown, "a whole number of GPUs")
        return int(text)

    def _unlisted_option_of(self, trait: str, key: str = "") -> tuple[str, str] | None:
        """Label and value of the unlisted choice that set a trait, if one did."""
        profile = self._chosen() or {}
        for name, option in (profile.get("profile_options") or {}).items():
            value = self.user_options.get(f"{name}{OTHER}")
            overrides = (option.get("unlisted_choice") or {}).get("kubespawner_override") or {}
            for override, content in overrides.items():
                if value is not None and override.startswith(trait) and (not key or key in content):
                    return str(option.get("display_name") or name), value
        return None

    def _blame(self, error: Exception) -> NoReturn:
        for trait, allowed in (("cpu_", "a number of CPUs"), ("mem_", "an amount of memory"), ("", "a number")):
            found = self._unlisted_option_of(trait)
            if found:
                raise InvalidOption(*found, allowed) from None
        words = f"This profile cannot be used, its configuration is wrong: {error}"
        raise SpawnRefused(words, code="gpuqueue.profile.invalid", status=500) from error


def read_wish(options: object, *, profile_list: Any, rules: Rules, spawner: Any = None) -> Wish:
    """Check what a request asks for, from the form or from the API.

    :param spawner: whose request it is, for what a profile says by a function.
    :raises InvalidOption: naming the field, its value and what is allowed; naming each where several are wrong.
    """
    checked = unwrapped(options)
    reader = ProfileReader.of(profile_list, checked, spawner=spawner)
    resources, hours, name = _all(
        reader.resources,
        lambda: read_hours(checked.get("hours"), rules=rules),
        lambda: read_name(checked.get("job_name")),
    )
    profile = reader._chosen() or {}
    return Wish(
        resources=resources,
        lease=hours * 3600,
        name=name,
        profile=str(profile.get("display_name", "")),
        options=checked,
    )


def _all(*reads: Callable[[], Any]) -> list[Any]:
    """Read every part before any is refused: nobody should have to send a form once for each mistake in it."""
    parts: list[Any] = []
    faults: list[InvalidOption] = []
    for read in reads:
        try:
            parts.append(read())
        except InvalidOption as fault:
            faults.append(fault)
    if faults:
        raise faults[0].together(faults[1:])
    return parts


def unwrapped(options: object) -> dict[str, Any]:
    """The options of a request. Hub 5.5 keeps a body as it came, so what Hub 6 unwraps is nested there."""
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise InvalidOption("user_options", options, "an object")
    inner = options.get("user_options")
    if len(options) == 1 and "user_options" in options:
        return unwrapped(inner)
    return dict(options)


def read_hours(value: object, *, rules: Rules) -> float:
    """How long it may run.

    :raises InvalidOption: no number, too short, or over the site's limit.
    """
    allowed = f"a number of hours from {SHORTEST:g}, at most {rules.max_hours:g}"
    if value is None or value == "":
        return min(rules.default_hours, rules.max_hours)
    if isinstance(value, str) and HOURS.fullmatch(value) and value.isascii():
        hours = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        hours = float(value) if abs(value) <= rules.max_hours else math.inf
    else:
        raise InvalidOption("hours", value, allowed)
    if not SHORTEST <= hours <= rules.max_hours:
        raise InvalidOption("hours", value, allowed)
    return hours


def read_name(value: object) -> str:
    """What its owner calls it.

    :raises InvalidOption: no text, too long, or with characters that do not print.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidOption("job_name", value, "text")
    name = value.strip(" ")
    if len(name) > NAME_LIMIT:
        raise InvalidOption("job_name", name, f"at most {NAME_LIMIT} characters, it has {len(name)}")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in REORDERING for c in name):
        raise InvalidOption("job_name", name, "text without control characters")
    if name and all(unicodedata.category(c) in ("Cf", "Zs") for c in name):  # pages link a job by its name
        raise InvalidOption("job_name", name, "text that can be seen")
    return name


def clash(profile: Mapping[str, Any]) -> list[str]:
    """Options of a profile that would hide the queue's own fields."""
    return sorted({*OWN} & {*(profile.get("profile_options") or {})})


def _is_kubespawners(name: str) -> bool:
    return name == "profile" or name.startswith("profile-option-")


def _one_of(names: Any) -> str:
    shown = [str(name) for name in names]
    return "one of " + ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "") if shown else "nothing"
