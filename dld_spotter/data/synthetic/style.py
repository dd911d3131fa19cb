"""What scenes look like: presets and their knobs."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SizeKind:
    """One kind of scene, by the size of its text.

    Attributes:
        name: of the kind.
        share: of the scenes, as a weight.
        heights: least and most height of a word's outline in pixels.
        words: least and most number of words a scene (fewer where there is no room).
    """

    name: str
    share: float
    heights: tuple[float, float]
    words: tuple[int, int]


@dataclass(frozen=True)
class SceneStyle:
    """The knobs of :class:`~dld_spotter.data.synthetic.scene.SceneDrawer`; strengths lie between 0 and 1.

    Attributes:
        size: height and width in pixels.
        kinds: of text size, drawn by their shares for each scene.
        items: weights of the ways that words are set: "panel" (a sign or plate with lines of words), "painted" (lines
            on the bare ground), "single" (one word), "curved" (an arc or a wave), "page" (fills what room there is
            with straight words).
        view: perspective of the text.
        turn: largest usual turn of the text in degrees.
        texture: how busy the grounds are.
        effects: share of words with an outline or a shadow.
        low_contrast: share of words with little contrast.
        light: unevenness of the light: gradients, cast shadows, vignette, colour cast.
        blur: defocus and motion blur, relative to what the smallest words bear.
        noise: of the sensor.
        quality: least and greatest JPEG quality.
        fine_print: share of scenes that also have a block too small to read, as don't care.
        covers: share of scenes with a thing in front of the text.
    """

    size: tuple[int, int] = (384, 512)
    kinds: tuple[SizeKind, ...] = (
        SizeKind("large", 0.35, (28, 90), (4, 12)),
        SizeKind("small", 0.35, (9, 20), (8, 20)),
        SizeKind("mixed", 0.30, (9, 80), (6, 20)),
    )
    items: tuple[tuple[str, float], ...] = (("panel", 0.45), ("painted", 0.22), ("single", 0.20), ("curved", 0.13))
    view: float = 0.7
    turn: float = 12.0
    texture: float = 1.0
    effects: float = 0.3
    low_contrast: float = 0.12
    light: float = 1.0
    blur: float = 1.0
    noise: float = 1.0
    quality: tuple[int, int] = (40, 95)
    fine_print: float = 0.12
    covers: float = 0.1

    def resized(self, height: int, width: int) -> "SceneStyle":
        """The style for another size of scene; text heights grow with the number of rows."""
        factor = height / self.size[0]
        kinds = []
        for kind in self.kinds:
            low, high = kind.heights
            kinds.append(replace(kind, heights=(factor * low, factor * high)))
        return replace(self, size=(height, width), kinds=tuple(kinds))


STYLES = {
    "scenes": SceneStyle(),
    "reading": SceneStyle(
        size=(256, 384),
        kinds=(SizeKind("reading", 1.0, (14, 40), (15, 30)),),
        items=(("page", 1.0),),
        view=0.0,
        turn=2.0,
        texture=0.25,
        effects=0.05,
        low_contrast=0.02,
        light=0.4,
        blur=0.25,
        noise=0.3,
        quality=(75, 97),
        fine_print=0.0,
        covers=0.0,
    ),
    "dense": SceneStyle(
        size=(256, 384),
        kinds=(SizeKind("dense", 1.0, (10, 44), (15, 30)),),
        items=(("page", 0.5), ("panel", 0.25), ("curved", 0.15), ("painted", 0.1)),
        view=0.5,
        turn=8.0,
        texture=0.8,
        effects=0.25,
        low_contrast=0.08,
        light=0.8,
        blur=0.7,
        noise=0.8,
        quality=(45, 95),
        fine_print=0.0,
        covers=0.0,
    ),
    # As full as dense pages, as worn as scenes, with words of every size that scenes have.
    "varied": SceneStyle(
        size=(256, 384),
        kinds=(
            SizeKind("small", 0.4, (9, 24), (20, 40)),
            SizeKind("middle", 0.35, (16, 48), (15, 30)),
            SizeKind("large", 0.25, (36, 100), (5, 12)),
        ),
        items=(("page", 0.4), ("panel", 0.3), ("curved", 0.15), ("painted", 0.1), ("single", 0.05)),
        view=0.6,
        turn=10.0,
        blur=0.9,
        noise=0.9,
        fine_print=0.0,
        covers=0.0,
    ),
}
