import pytest
import torch
from detectron2.layers import Conv2d, get_norm
from detectron2.structures import Boxes
from torch.nn import functional as F

from dld_spotter.modeling.acceleration.tiled_convolutions import TILE, convolve_tiles, needed_tiles, worthwhile
from dld_spotter.modeling.backbones.fpn_features import FeatureMap
from dld_spotter.modeling.recognition.masked_pooler import MaskedRoIPooler
from dld_spotter.structures import WordPolygons


def chain(number):
    convs = []
    for index in range(number):
        norm = get_norm("BN", 6) if index else None
        convs.append(Conv2d(4 if index == 0 else 6, 6, 3, padding=1, norm=norm, activation=F.relu if index else None))
        if norm is not None:
            norm.running_mean.uniform_(-1, 1)
            norm.bias.data.uniform_(-1, 1)  # so that the value of padding would not stay zero
    return torch.nn.Sequential(*convs).eval()


@pytest.mark.parametrize("number", [1, 2, 3])
@torch.no_grad()
def test_needed_tiles_hold_what_the_whole_map_holds(number):
    convs, features = chain(number), torch.randn(2, 4, 3 * TILE - 5, 4 * TILE - 3)
    needed = torch.rand(2, 3, 4) < 0.4
    needed[0, 0, 0] = needed[1, 2, 3] = True  # the map's corners, where padding matters
    whole, tiled = convs(features), convolve_tiles(features, list(convs), needed)
    cells = needed.repeat_interleave(TILE, 1).repeat_interleave(TILE, 2)[:, None, : whole.shape[2], : whole.shape[3]]
    torch.testing.assert_close(tiled, whole * cells, atol=1e-5, rtol=1e-4)


def test_tiles_that_boxes_touch():
    """One cell is 4 pixels, so a tile is 64; the reach takes the second box over the border."""
    boxes = [Boxes(torch.tensor([[70.0, 10.0, 100.0, 30.0], [65.0, 70.0, 80.0, 126.0]])), Boxes(torch.zeros(0, 4))]
    needed = needed_tiles(boxes, 4.0, 4, (40, 40))
    expected = torch.zeros(2, 3, 3, dtype=torch.bool)
    expected[0, 0, 1] = True
    expected[0, 1:, :2] = True
    assert torch.equal(needed, expected)


def test_many_tiles_are_not_worthwhile():
    needed = torch.zeros(1, 4, 4, dtype=torch.bool)
    assert worthwhile(needed, 2)
    assert not worthwhile(~needed, 2)


@torch.no_grad()
def test_the_pooler_gives_the_same_words_either_way(monkeypatch):
    pooler = MaskedRoIPooler(in_channels=4, out_channels=6, output_size=(8, 32), stride=4).eval()
    features = FeatureMap(torch.randn(2, 4, 80, 120), (Conv2d(4, 4, 3, padding=1).eval(),))
    polygons = [WordPolygons.from_list([[3, 2, 60, 5, 58, 30, 0, 25], [300, 250, 479, 250, 479, 319, 300, 319]])] * 2
    arguments = {"boxes": [p.get_bounding_boxes() for p in polygons], "image_sizes": [(320, 480)] * 2}
    calls = []
    original = convolve_tiles
    module = "dld_spotter.modeling.acceleration.tiled_convolutions"
    monkeypatch.setattr(f"{module}.convolve_tiles", lambda *args: calls.append(1) or original(*args))
    tiled = pooler(features, **arguments, polygons=polygons)
    assert calls
    with torch.enable_grad():
        whole = pooler(features, **arguments, polygons=polygons)
    assert len(calls) == 1
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=1e-4)
