import re

import pytest

from qualityfm.errors import ConfigError
from qualityfm.pretrain.config import PretrainConfig
from qualityfm.pretrain.preset import load_preset, preset_names


def edited(tmp_path, pattern, replacement, name="qualityfm-tiny"):
    """Write a copy of a shipped preset with one line changed, and return its path."""
    from importlib.resources import files

    text = (files("qualityfm.presets") / f"{name}.toml").read_text()
    changed, count = re.subn(pattern, replacement, text, count=1, flags=re.M)
    assert count == 1
    path = tmp_path / "mine.toml"
    path.write_text(changed)
    return path


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_is_complete_and_loads(name):
    assert load_preset(name).name == name


def test_a_wrong_key_names_the_nearest_one_and_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"mine\.toml.*batch_sise.*did you mean 'batch_size'"):
        load_preset(edited(tmp_path, "^batch_size", "batch_sise"))


def test_a_missing_setting_is_refused_although_there_is_a_default(tmp_path):
    with pytest.raises(ConfigError, match=r"missing setting: .*mine\.toml.*clip"):
        load_preset(edited(tmp_path, "^clip = .*$", ""))


def test_a_value_out_of_range_names_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"clip: found -1.0.*mine\.toml"):
        load_preset(edited(tmp_path, "^clip = .*$", "clip = -1.0"))


def test_a_value_of_the_wrong_type_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"width: found 'wide', expected int"):
        load_preset(edited(tmp_path, "^width = .*$", 'width = "wide"'))


@pytest.mark.parametrize(
    ("pattern", "replacement", "field"),
    [
        ("^objective = .*$", 'objective = "paper"', "decoder"),
        ("^quality_head = true", "quality_head = false", "quality_head"),
        ("^segment_s = .*$", "segment_s = 1.0", "segment_s"),
    ],
)
def test_tables_that_do_not_fit_each_other_are_refused(tmp_path, pattern, replacement, field):
    with pytest.raises(ConfigError, match=field):
        load_preset(edited(tmp_path, pattern, replacement))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gradient_clip", -3.0),
        ("num_prototypes", -1),
        ("zeroed_span", (0.5, 2.0)),
        ("seed", -1),
        ("epochs", float("inf")),
        ("noise_sd", float("nan")),
        ("center_momentum", 7.0),
        ("distill_weight", -1.0),
    ],
)
def test_a_recipe_value_that_cannot_be_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=f"pretrain: {field}"):
        PretrainConfig(**{field: value})


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"paper-base, paper-huge, paper-large, qualityfm-base, .*qualityfm-tiny"):
        load_preset("qualityfm-tini")
