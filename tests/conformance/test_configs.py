"""What must hold of every registered part's configuration and declaration."""

from __future__ import annotations

import dataclasses
import json

import pytest

from argmind.config import from_dict, override, to_dict
from argmind.errors import UserError
from argmind.registry import find, summary
from conformance.parts import KINDS, Case, build, build_objective, cases, predictor_config

every = pytest.mark.parametrize("case", cases(*KINDS), ids=str)


@every
def test_config_survives_json(case: Case) -> None:
    plain = json.loads(json.dumps(to_dict(case.config)))
    assert plain["kind"] == case.name
    assert from_dict(type(case.config), plain) == case.config


@pytest.mark.parametrize("case", cases("attention", "space", "head", "body", "predictor"), ids=str)
def test_a_whole_predictor_survives_json(case: Case) -> None:
    config = predictor_config(case)
    assert from_dict(type(config), json.loads(json.dumps(to_dict(config)))) == config


@every
def test_config_is_frozen_and_strict(case: Case) -> None:
    config = case.config
    assert hash(config) == hash(from_dict(type(config), to_dict(config)))
    for item in dataclasses.fields(config):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, item.name, None)
    with pytest.raises(UserError, match="unknown option 'colour'"):
        override(config, ["colour=red"])


@every
def test_part_says_what_it_is(case: Case) -> None:
    part = find(case.kind, case.name)
    assert len(summary(part)) > 10
    assert case.second_order in ("native", "custom", "none")
    assert case.config.owner is part


@every
def test_part_can_be_built_by_name(case: Case) -> None:
    wanted = find(case.kind, case.name)
    if case.kind == "objective":
        assert isinstance(build_objective(case), wanted)
    elif case.kind in ("rule", "schedule", "stop"):
        assert isinstance(case.config.build(), wanted)
    else:
        assert any(isinstance(module, wanted) for module in build(case).modules())
