"""A cache folder of its own for every test of data."""

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ARGMIND_CACHE", str(folder))
    return folder
