"""Ink in the scene: inside the outlines, in a colour that can be read."""

import itertools

import numpy as np
import pytest
from synthetic_checks import distance_to, inside

from dld_spotter.data.synthetic.backgrounds import luminance, random_colour
from dld_spotter.data.synthetic.blocks import SetWord
from dld_spotter.data.synthetic.lettering import draw_letters
from dld_spotter.data.synthetic.painting import (
    Ink,
    choose_ink,
    contrasting_colour,
    ground_under,
    paint_plate,
    paint_word,
    warp_mask,
    window_around,
    with_luminance,
)
from dld_spotter.data.synthetic.surfaces import Surface, random_view, shift

SIZE = (160, 240)
MARGIN = 1.0
BENDS = {
    "flat": {},
    "arch": {"radius": 130.0},
    "bowl": {"radius": -130.0},
    "wave": {"wave": (5.0, 110.0)},
}


def place_word(face, text, bend, seed, scale=1.0, tracking=0.0):
    """A word, and the surface that brings it to the middle of the scene."""
    rng = np.random.default_rng(seed)
    lettering = draw_letters(face, text, round(36 / scale), tracking, stroke=2)
    word = SetWord(lettering, (4.0, 3.0), scale)
    left, top, right, bottom = word.box
    centre = ((left + right) / 2, (top + bottom) / 2)
    view = random_view(rng, (left + right, top + bottom), 0.7, rng.uniform(-25, 25))
    return word, Surface(shift(SIZE[1] / 2, SIZE[0] / 2) @ view, centre, **BENDS[bend])


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_ink_lies_inside_its_outline_and_reaches_its_sides(face, bend, scale, seed):
    word, surface = place_word(face, "Huge(Qy)", bend, seed, scale)
    cover = warp_mask(word.lettering.ink, word, surface, (0, 0, SIZE[1], SIZE[0]))
    outline = surface.outline(word.box, MARGIN)
    outside = ~inside(outline, SIZE)
    assert not (outside & (cover > 40)).any()
    rows, columns = np.nonzero(cover > 120)
    ink = np.stack([columns, rows], axis=-1) + 0.5
    corners = outline if bend == "flat" else outline[[0, len(outline) // 2 - 1, len(outline) // 2, -1]]
    for start, end in ((0, 1), (1, 2), (2, 3), (3, 0)):
        if bend == "flat" or start % 2:  # each side of a straight word, and both ends of a bent one
            side = np.stack([corners[start], corners[end], (corners[start] + corners[end]) / 2])
            assert distance_to(side, ink).min() < MARGIN + 2.0
    # As much ink as on the plane, by the area that the outlines have here and there.
    area = inside(outline, SIZE).sum() / np.prod(word.box[2:] - word.box[:2] + 2 * MARGIN)
    expected = word.lettering.ink.sum(dtype=float) * scale**2 * area
    assert cover.sum(dtype=float) == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("seed", range(2))
def test_boxes_of_characters_lie_on_their_ink(face, bend, seed):
    """Of what one character paints, nearly all lies inside its quadrilateral, half a pixel wider."""
    text = "aB8,gW"
    word, surface = place_word(face, text, bend, seed, tracking=6.0)
    for number, box in enumerate(word.character_boxes):
        mask = word.lettering.ink.copy()
        left, _, right, _ = word.lettering.characters[number]
        mask[:, : int(np.floor(left))] = 0
        mask[:, int(np.ceil(right)) :] = 0
        cover = warp_mask(mask, word, surface, (0, 0, SIZE[1], SIZE[0])).astype(float)
        quad = surface.forward(np.array([box[[0, 1]], box[[2, 1]], box[[2, 3]], box[[0, 3]]]))
        middle = quad.mean(axis=0)
        steps = quad - middle
        wider = middle + steps * (1 + 0.75 / np.linalg.norm(steps, axis=1, keepdims=True))
        held = cover[inside(wider, SIZE)].sum() / cover.sum()
        assert held > 0.9, (text[number], held)


def test_flat_and_bent_warps_agree(face):
    """A very large radius is as good as flat; the two ways to warp a mask put it at the same place."""
    word, flat = place_word(face, "Align", "flat", 5)
    bent = Surface(flat.to_scene, flat.centre, radius=1e7)
    window = (30, 20, 180, 120)
    one, other = (warp_mask(word.lettering.ink, word, surface, window).astype(float) for surface in (flat, bent))
    assert one.sum() > 1e4
    assert np.abs(one - other).max() < 12  # OpenCV works to 1/32 of a pixel


def test_upright_word_is_painted_pixel_by_pixel(face):
    lettering = draw_letters(face, "Exact", 30)
    word = SetWord(lettering, (0.0, 0.0), 1.0)
    height, width = lettering.ink.shape
    cover = warp_mask(lettering.ink, word, Surface(shift(7, 9)), (0, 0, 150, 60))
    np.testing.assert_array_equal(cover[9 : 9 + height, 7 : 7 + width], lettering.ink)
    assert cover.sum(dtype=int) == lettering.ink.sum(dtype=int)


def test_painted_word_changes_nothing_outside_its_outline(face):
    word, surface = place_word(face, "Inside", "arch", 1)
    image = np.full((*SIZE, 3), 90, np.uint8)
    outline = surface.outline(word.box, MARGIN)
    paint_word(np.random.default_rng(0), image, word, surface, outline, Ink(np.array([10.0, 200.0, 240.0])))
    changed = (np.abs(image.astype(int) - 90) > 25).any(axis=-1)
    assert changed.sum() > 300 and not (changed & ~inside(outline, SIZE)).any()
    assert np.abs(image.reshape(-1, 3).astype(int) - [10, 200, 240]).sum(axis=1).min() <= 3


def test_stroke_shadow_and_wear(face):
    word, surface = place_word(face, "HH", "flat", 0)
    outline = surface.outline(word.box, MARGIN)

    def paint(**options):
        image = np.full((*SIZE, 3), 128, np.uint8)
        paint_word(np.random.default_rng(0), image, word, surface, outline, Ink(np.full(3, 255.0), **options))
        return image.astype(int)

    plain = paint()
    stroked = paint(stroke=np.zeros(3))
    assert stroked.max() > 250 and stroked.min() < 5  # white letters in a black outline
    core = warp_mask(word.lettering.core, word, surface, (0, 0, SIZE[1], SIZE[0]))
    assert (stroked[core > 250] > 250).all()
    shadowed = paint(shadow=(6.0, 6.0, 0.0, 0.5))
    dark = shadowed < 100
    assert dark.any() and not dark[inside(outline, SIZE) & (plain[..., 0] > 250)].any()
    moved = np.argwhere(dark[..., 0]).mean(axis=0) - np.argwhere(plain[..., 0] > 250).mean(axis=0)
    assert (moved > 2).all()  # down and to the right
    worn = paint(worn=0.5)
    assert (worn <= plain).all() and plain.sum() > worn.sum() > paint(opacity=0.4).sum()


def test_word_outside_the_scene_is_not_painted(face):
    word, surface = place_word(face, "Far", "flat", 0)
    away = Surface(shift(1000, 0) @ surface.to_scene)
    image = np.zeros((*SIZE, 3), np.uint8)
    paint_word(np.random.default_rng(0), image, word, away, away.outline(word.box, 1), Ink(np.full(3, 255.0)))
    assert not image.any()


def test_window():
    points = np.array([[10.2, 5.5], [30.7, 20.0]])
    assert window_around(points, SIZE, 2) == (8, 3, 25, 19)
    assert window_around(points, (15, 25), 2) == (8, 3, 17, 12)
    assert window_around(points + 500, SIZE, 2) is None


def test_ground_under_an_outline():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    mean, deviation = ground_under(image, np.array([[22, 5], [35, 5], [35, 30], [22, 30.0]]))
    np.testing.assert_allclose(mean, 200)
    assert deviation == 0
    mean, deviation = ground_under(image, np.array([[10, 5], [29, 5], [29, 30], [10, 30.0]]))
    np.testing.assert_allclose(mean, 100, atol=6)
    assert deviation == pytest.approx(100, rel=0.05)
    assert ground_under(image, np.array([[90, 90], [99, 90], [99, 99.0]]))[1] == 0


@pytest.mark.parametrize("seed", range(5))
def test_luminance_is_what_was_asked_for(seed):
    rng = np.random.default_rng(seed)
    for target in (0.0, 3.0, 127.0, 250.0, 255.0):
        colour = with_luminance(random_colour(rng, (0.2, 1)), target)
        assert luminance(colour) == pytest.approx(target, abs=0.01)
        assert colour.min() >= 0 and colour.max() <= 255.01


def test_contrasting_colour_has_that_difference_on_either_side():
    rng = np.random.default_rng(0)
    differences = [float(luminance(contrasting_colour(rng, 120.0, 100.0))) - 120 for _ in range(40)]
    np.testing.assert_allclose(np.abs(differences), 100, atol=0.01)
    assert len(set(np.sign(differences))) == 2
    assert contrasting_colour(rng, 120.0, 140.0) is None


@pytest.mark.parametrize(
    ("height", "faint", "least"), [(40, False, 75), (10, False, 75), (10, True, 75), (40, True, 34)]
)
def test_ink_has_contrast_on_every_ground(height, faint, least):
    """75 of 255 steps of luminance, 34 where little contrast is wanted in large letters; more on a busy ground."""
    rng = np.random.default_rng(0)
    for ground, deviation in itertools.product(np.linspace(0, 255, 52), (0.0, 15.0, 80.0)):
        for stroked in (False, True):
            mean = with_luminance(random_colour(rng), float(ground))
            ink = choose_ink(rng, mean, deviation, height, faint, effects=not faint, stroked=stroked)
            difference = abs(float(luminance(ink.colour)) - ground)
            room = max(ground, 255 - ground)
            assert difference >= min(max(least, 2.2 * deviation + 20), room) - 0.1
            assert ink.colour.min() >= 0 and ink.colour.max() <= 255.01 and 0.8 < ink.opacity <= 1
            assert (ink.stroke is not None) == stroked
            if stroked:
                assert abs(float(luminance(ink.stroke) - luminance(ink.colour))) >= 89


def test_plate_covers_its_box_and_little_else(bank):
    box = np.array([0.0, 0.0, 100.0, 50.0])
    surface = Surface(shift(60, 40))
    outline = surface.outline(box, 0)
    for seed in range(10):
        image = np.full((*SIZE, 3), 255, np.uint8)
        paint_plate(np.random.default_rng(seed), image, surface, box, np.array([40.0, 30.0, 120.0]), bank[0])
        middle = surface.outline(np.array([30, 15, 70, 35.0]), 0)
        assert np.abs(image[inside(middle, SIZE)].mean(axis=0) - [40, 30, 120]).max() < 60
        assert image[inside(middle, SIZE)].max() < 220
        far = ~inside(surface.outline(box, 34), SIZE)  # a shadow is soft and reaches a little further
        assert (image[far] == 255).all()
        assert inside(outline, SIZE).sum() == pytest.approx(5000, rel=0.02)
