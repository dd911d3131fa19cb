"""The scale at which an image is read: ``DLDSpotter.choose_scales`` on graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dld_spotter.runtime.engines import Graph
from dld_spotter.runtime.images import NetworkImage, rescale, shown_part
from dld_spotter.runtime.settings import GraphSettings
from dld_spotter.scale_costs import NO_SELECTOR, ScaleBound, ScaleCosts


def choose_scale(
    image: NetworkImage, settings: GraphSettings, graphs: Mapping[str, Graph], asked: float | ScaleBound | None = None
) -> float | None:
    """The scale that is asked for, one within the bound, the fixed one, the only one, or the selector's likeliest one.

    Returns:
        None of a model that chooses none.

    Raises:
        ValueError: a bound for a model without a selector, or whose gamma is not known.
    """
    if "scales" not in settings.network:
        return None
    if isinstance(asked, ScaleBound):
        return _bounded(image, settings, graphs, asked)
    if asked is not None:
        return asked
    scales = settings.network["scales"]
    if settings["MODEL.DLD.FIXED_SCALE"] > 0:
        return float(settings["MODEL.DLD.FIXED_SCALE"])
    if "selector" not in graphs:
        return scales[0]
    logits = selector_logits(image, settings.network["selector"], graphs)
    shift = settings.network["sharpness"] * settings["MODEL.DLD.GAMMA_SHIFT"]
    logits = logits - shift * np.array(settings.network["costs"], np.float32)
    limit = settings["MODEL.DLD.SCALE_LIMIT"]
    allowed = [i for i, scale in enumerate(scales) if not 0 < limit < scale]
    return scales[allowed[int(logits[allowed].argmax())]]


def _bounded(image: NetworkImage, settings: GraphSettings, graphs: Mapping[str, Graph], bound: ScaleBound) -> float:
    """As ``regression.foreseen_losses`` and ``ScaleBound.choose``."""
    network = settings.network
    if "selector" not in graphs:
        raise ValueError(NO_SELECTOR)
    if "gamma" not in network:
        raise ValueError(f"{settings.folder} does not tell the gamma of its selector; export the model again.")
    logits = selector_logits(image, network["selector"], graphs)
    losses = -logits / network["sharpness"] - network["gamma"] * np.array(network["costs"])
    costs = ScaleCosts(tuple(network["scales"]), tuple(network["costs"]))
    return bound.choose(losses, costs, settings["MODEL.DLD.SCALE_LIMIT"])


def selector_logits(image: NetworkImage, selector: Mapping[str, Any], graphs: Mapping[str, Graph]) -> np.ndarray:
    """(k,) logits: statistics of the selector's maps over the image without its padding, then a linear layer."""
    small = rescale(image, selector["scale"])
    height, width = small.padded
    step = selector["step"]
    pixels = np.pad(small.pixels, ((0, 0), (0, -height % step), (0, -width % step)))
    padded = pixels.shape[1:]
    statistics: list[np.ndarray] = []
    for maps in graphs["selector"](image=pixels[None]).values():
        rows = shown_part(maps.shape[2], small.size[0], padded[0])
        columns = shown_part(maps.shape[3], small.size[1], padded[1])
        shown = maps[0, :, :rows, :columns].reshape(maps.shape[1], -1)
        statistics.append(shown.mean(axis=1))
        if selector["kind"] == "backbone":
            statistics += [shown.std(axis=1), shown.max(axis=1)]
    return graphs["selector_classifier"](statistics=np.concatenate(statistics)[None])["logits"][0]
