"""The presets of synthetic scenes."""

from dataclasses import fields

import pytest

from dld_spotter.data.synthetic.style import STYLES, SceneStyle

STRENGTHS = ("view", "texture", "effects", "low_contrast", "light", "blur", "noise", "fine_print", "covers")


@pytest.mark.parametrize("name", STYLES)
def test_presets_keep_to_their_ranges(name):
    style = STYLES[name]
    assert all(0 <= getattr(style, knob) <= 1 for knob in STRENGTHS)
    assert 0 < style.quality[0] <= style.quality[1] <= 100
    assert {item for item, _ in style.items} <= {"panel", "painted", "single", "curved", "page"}
    assert all(weight > 0 for _, weight in style.items)
    for kind in style.kinds:
        assert kind.share > 0 and 0 < kind.heights[0] <= kind.heights[1] < style.size[0]
        assert 1 <= kind.words[0] <= kind.words[1]


def test_resized_style_keeps_the_share_of_the_text():
    style = SceneStyle()
    doubled = style.resized(768, 1000)
    assert doubled.size == (768, 1000)
    for before, after in zip(style.kinds, doubled.kinds, strict=True):
        assert after.heights == pytest.approx(tuple(2 * height for height in before.heights))
        assert (after.name, after.share, after.words) == (before.name, before.share, before.words)
    same = [field.name for field in fields(SceneStyle) if field.name not in ("size", "kinds")]
    assert all(getattr(style, name) == getattr(doubled, name) for name in same)
    assert style == SceneStyle()
