"""Which engine does the work, and what is asked of it."""

import math

import pytest

from qualityfm.cluster import ENGINES, map_unordered
from qualityfm.errors import ConfigError


def test_the_engines_are_the_ones_that_the_command_offers():
    assert ENGINES == ("processes", "ray")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"engine": "threads"}, "engine"),
        ({"workers": 0}, "workers"),
        ({"address": "host:6379"}, "address"),
        ({"engine": "ray", "workers": -1}, "workers"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_starts(settings, field):
    with pytest.raises(ConfigError, match=f"cluster: {field}: found"):
        map_unordered(math.sqrt, [4], **{"workers": 1} | settings)
