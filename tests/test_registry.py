"""The registry: names, errors, and parts that come from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from argmind import registry
from argmind.config import PartConfig, from_dict
from argmind.errors import UserError
from argmind.registry import find, kinds, names, register, require_second_order, summary
from argmind.thinking.rules.base import Rule


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test registers is gone after it."""
    names("rule")
    names("stop")
    known = {kind: dict(of) for kind, of in registry._parts.items()}
    monkeypatch.setattr(registry, "_parts", known)


def toy() -> Any:
    class Toy(Rule):
        """A rule that says it cannot be differentiated twice."""

        second_order = "none"

        @dataclass(frozen=True, kw_only=True)
        class Config(PartConfig):
            strength: float = 1.0

        def __init__(self, config: Config) -> None:
            self.strength = config.strength

    return Toy


def test_what_this_release_has() -> None:
    assert {"gradient", "momentum", "langevin"} <= set(names("rule"))
    assert {"published", "mirror", "dual", "euclidean"} <= set(names("space"))
    assert {"none", "candidate", "time_embed", "adaln", "adaln_zero"} <= set(names("conditioning"))
    assert {"constant", "learned", "randomised", "annealed"} <= set(names("schedule"))
    assert {"fixed", "plateau", "gradient_norm"} <= set(names("stop"))
    assert {"s1", "s2", "thinking", "cross_entropy"} <= set(names("objective"))
    assert {"ebt", "transformer_pp"} <= set(names("predictor"))
    assert names("rule") == sorted(names("rule"))
    assert kinds() == sorted(registry.HOMES)


def test_a_new_part_is_found_listed_and_configured() -> None:
    added = register("rule", "toy")(toy())
    assert find("rule", "toy") is added
    assert "toy" in names("rule")
    config = from_dict(added.Config, {"strength": 2})
    assert (config.part_kind, config.part_name, config.owner) == ("rule", "toy", added)
    built = config.build()
    assert isinstance(built, added)
    assert built.strength == 2.0
    assert summary(added) == "A rule that says it cannot be differentiated twice."


def test_unknown_names_say_which_was_meant() -> None:
    with pytest.raises(UserError, match=r"unknown rule 'gradiant'\. Did you mean 'gradient'"):
        find("rule", "gradiant")
    with pytest.raises(UserError, match="Known: energy_scaled, gradient, langevin, momentum"):
        find("rule", "zzz")
    with pytest.raises(UserError, match=r"unknown kind of part 'rul'\. Did you mean 'rule'"):
        find("rul", "gradient")


def test_a_kind_without_a_home_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no such kind of part: ruel"):
        register("ruel", "toy")


def test_a_name_is_taken_once() -> None:
    register("rule", "toy")(toy())
    register("rule", "toy")(toy())  # the same class, imported anew

    class Other(toy()):
        """Another rule."""

        @dataclass(frozen=True, kw_only=True)
        class Config(PartConfig):
            pass

    with pytest.raises(ValueError, match="rule 'toy' is registered twice"):
        register("rule", "toy")(Other)


def test_a_part_needs_a_config_of_its_own() -> None:
    class Child(find("rule", "momentum")):
        """Would be built as its parent."""

    with pytest.raises(ValueError, match="needs a Config of its own"):
        register("rule", "child")(Child)
    assert "child" not in names("rule")


def test_functions_can_be_registered_too() -> None:
    @register("recipe", "toy")
    def recipe() -> str:
        """A recipe."""
        return "made"

    assert find("recipe", "toy")() == "made"
    assert summary(recipe) == "A recipe."


def test_parts_from_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "rule.elsewhere"

        def load(self) -> None:
            register("rule", "elsewhere")(toy())

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()] * (group == "argmind"))
    monkeypatch.setattr(registry, "_loaded", set())
    assert "elsewhere" in names("rule")
    assert "elsewhere" not in names("stop")


def test_second_order_is_required_by_name() -> None:
    part = register("rule", "toy")(toy())
    with pytest.raises(UserError) as caught:
        require_second_order(part, "it is trained through")
    assert "rule 'toy' has no second derivative, and it is trained through" in str(caught.value)
    assert "argmind list rule" in str(caught.value)
    require_second_order(find("rule", "gradient"), "it is trained through")


def test_a_part_without_words_has_an_empty_summary() -> None:
    class Silent:
        pass

    assert summary(Silent) == ""
