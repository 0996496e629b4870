"""Configuration: strict, with helpful errors, and the same after a round trip."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from argmind.config import PartConfig, from_dict, override, part, part_config, parts_of, to_dict
from argmind.errors import UserError
from argmind.nn.transformer import TransformerConfig
from argmind.registry import names
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = 4
    rate: float = 0.5

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    mode: Literal["slow", "fast"] = "slow"
    many: tuple[int, ...] = ()
    pair: tuple[int, str] = (1, "a")
    some: int | None = None
    on: bool = False
    rule: PartConfig = part("rule", "gradient")
    free: dict[str, Any] = field(default_factory=dict)


def read(**plain: Any) -> Outer:
    return from_dict(Outer, {"name": "x", **plain})


# ---------------------------------------------------------------------- reading


def test_defaults_and_nesting() -> None:
    config = read(inner={"width": 8}, rule={"kind": "momentum", "nesterov": True})
    assert config.inner == Inner(width=8)
    assert config.rule == part_config("rule", "momentum", nesterov=True)
    assert config.mode == "slow"


def test_a_part_by_its_name_or_its_options_alone() -> None:
    assert read(rule="langevin").rule == part_config("rule", "langevin")
    assert read(rule={}).rule == part_config("rule", "gradient")
    given = part_config("rule", "momentum", momentum=0.5)
    assert read(rule=given).rule is given


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"nmae": "x"}, "unknown option 'nmae'. Did you mean 'name'?"),
        ({"inner": {"widht": 3}}, "unknown option 'inner.widht'. Did you mean 'inner.width'?"),
        ({"rule": "momentm"}, "unknown rule 'momentm'. Did you mean 'momentum'?"),
        ({"rule": {"kind": "momentum", "nestrov": True}}, "Did you mean 'rule.nesterov'?"),
        ({"mode": "fats"}, "unknown value of mode 'fats'. Did you mean 'fast'?"),
        ({"inner": {"width": 0}}, "inner: width must be at least 1, got 0"),
        ({"inner": 3}, "inner: expected a mapping, got 3"),
        ({"inner": {"width": "4"}}, "inner.width: expected int, got '4'"),
        ({"inner": {"width": 4.5}}, "inner.width: expected int, got 4.5"),
        ({"inner": {"width": True}}, "inner.width: expected int, got True"),
        ({"inner": {"rate": "fast"}}, "inner.rate: expected float, got 'fast'"),
        ({"inner": {"rate": True}}, "inner.rate: expected float, got True"),
        ({"on": 1}, "on: expected bool, got 1"),
        ({"on": "yes"}, "on: expected bool, got 'yes'"),
        ({"name": ["x"]}, "name: expected str, got ['x']"),
        ({"name": True}, "name: expected str, got True"),
        ({"some": "x"}, "some: expected int, got 'x'"),
        ({"many": 3}, "many: expected a list, got 3"),
        ({"many": [1, "x"]}, "many[1]: expected int, got 'x'"),
        ({"pair": [1]}, "pair: expected 2 values, got [1]"),
        ({"free": 3}, "free: expected a mapping, got 3"),
        ({"rule": 3}, "rule: expected a rule name or a mapping, got 3"),
        ({"rule": part_config("stop", "fixed")}, "rule: expected a rule, got the stop"),
    ],
)
def test_refused_with_the_reason(plain: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(**plain)
    assert message in str(caught.value)


def test_what_must_be_given_must_be_given() -> None:
    with pytest.raises(UserError, match="Outer: missing name"):
        from_dict(Outer, {})
    with pytest.raises(UserError, match="expected a mapping"):
        from_dict(Outer, None)


@pytest.mark.parametrize(
    ("plain", "want"),
    [
        ({"inner": {"rate": 2}}, 2.0),
        ({"inner": {"rate": "1e-3"}}, 1e-3),  # YAML reads 1e-3 as text
    ],
)
def test_numbers_that_are_plainly_meant(plain: dict[str, Any], want: float) -> None:
    assert read(**plain).inner.rate == want


def test_other_plain_readings() -> None:
    assert read(inner={"width": 4.0}).inner.width == 4
    assert read(name=7).name == "7"
    assert read(some=None).some is None
    assert read(many=[1, 2]).many == (1, 2)


def test_a_config_of_another_part_is_refused() -> None:
    with pytest.raises(UserError, match="expected 'gradient', got 'momentum'"):
        from_dict(type(part_config("rule", "gradient")), {"kind": "momentum"})


# ---------------------------------------------------------------------- overrides


def test_settings_are_read_as_yaml() -> None:
    base = Outer(name="x")
    config = override(base, ["inner.width=9", "inner.rate=1e-2", "many=[1, 2]", "on=true"])
    assert (config.inner, config.many, config.on) == (Inner(width=9, rate=0.01), (1, 2), True)
    assert override(config, ["some=3"]).some == 3
    assert override(override(config, ["some=3"]), ["some="]).some is None
    assert override(base, []) == base
    assert override(base, ["inner.width=3", "inner.width=5"]).inner.width == 5


@pytest.mark.parametrize("swap", ["rule=momentum", "rule.kind=momentum", "rule={kind: momentum}"])
def test_a_part_can_be_swapped(swap: str) -> None:
    assert override(Outer(name="x"), [swap]).rule == part_config("rule", "momentum")


def test_options_of_the_old_part_do_not_carry_over() -> None:
    noisy = override(Outer(name="x"), ["rule=langevin", "rule.noise_std=2"])
    assert noisy.rule == part_config("rule", "langevin", noise_std=2.0)
    assert override(noisy, ["rule=momentum"]).rule == part_config("rule", "momentum")
    assert override(noisy, ["rule=langevin"]).rule == noisy.rule, "no swap, nothing lost"


def test_the_order_of_settings_loses_nothing() -> None:
    both = ["rule=momentum", "rule.momentum=0.5"]
    for given_ in (both, both[::-1]):
        got = override(Outer(name="x"), given_)
        assert got.rule == part_config("rule", "momentum", momentum=0.5)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("inner.width", "write name.of.option=value"),
        ("=3", "write name.of.option=value"),
        ("inner.widht=3", "Did you mean 'inner.width'?"),
        ("iner.width=3", "Did you mean 'inner'?"),
        ("inner.width.deep=3", "option inner.width has no parts"),
        ("rule.noise_std=1", "unknown option 'rule.noise_std'"),
        ("rule=momentm", "Did you mean 'momentum'?"),
        ("inner.width=[", "not valid YAML"),
        ("inner.width=0", "width must be at least 1"),
        ("name=", "name"),
    ],
)
def test_settings_that_cannot_be_used(setting: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        override(Outer(name="x"), [setting])
    assert message in str(caught.value)


# ---------------------------------------------------------------------- round trips

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
outers = st.builds(
    Outer,
    name=st.text(),
    inner=st.builds(Inner, width=st.integers(1, 10**9), rate=st.floats(allow_nan=False)),
    mode=st.sampled_from(["slow", "fast"]),
    many=st.lists(st.integers()).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    some=st.none() | st.integers(),
    on=st.booleans(),
    rule=st.one_of(
        st.just(part_config("rule", "gradient")),
        st.builds(
            type(part_config("rule", "momentum")),
            momentum=st.floats(0, 1, exclude_max=True),
            nesterov=st.booleans(),
        ),
    ),
    free=st.dictionaries(st.text(), leaves),
)


@settings(deadline=None, derandomize=True)
@given(config=outers)
def test_round_trip(config: Outer) -> None:
    assert from_dict(Outer, to_dict(config)) == config
    assert from_dict(Outer, json.loads(json.dumps(to_dict(config)))) == config


thinkings = st.builds(
    ThinkingConfig,
    steps=st.integers(1, 50),
    start=st.sampled_from(["noise", "zeros", "amortised"]),
    rule=st.sampled_from(names("rule")).map(lambda name: part_config("rule", name)),
    schedule=st.sampled_from(names("schedule")).map(lambda name: part_config("schedule", name)),
)


@settings(deadline=None, derandomize=True)
@given(config=thinkings)
def test_round_trip_through_yaml(config: ThinkingConfig) -> None:
    assert from_dict(ThinkingConfig, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config


def test_every_part_of_a_tree_is_found() -> None:
    config = part_config("predictor", "ebt")
    found = {one.part_kind for one in parts_of(config)}
    assert found == {
        *("predictor", "space", "body", "conditioning", "head"),
        *("attention", "feedforward", "norm"),
    }


# ---------------------------------------------------------------------- checks of real configs


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"hidden_dim": 10, "num_heads": 4}, "even multiple of num_heads"),
        ({"hidden_dim": 8, "num_heads": 8}, "even multiple of num_heads"),
        ({"num_kv_heads": 4}, "multiple of num_kv_heads"),
    ],
)
def test_dimensions_that_do_not_fit(plain: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_dict(TransformerConfig, plain)


def test_a_budget_from_settings() -> None:
    got = override(Budget(), ["steps=4", "stop=plateau", "stop.tolerance=0.1", "deadline_s=2"])
    assert got.stop == part_config("stop", "plateau", tolerance=0.1)
    assert (got.steps, got.deadline_s) == (4, 2.0)
