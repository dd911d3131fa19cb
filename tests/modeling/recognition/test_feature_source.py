"""What recognisers pool from: a feature map only where one is asked for, finished where it is looked at."""

import torch
from detectron2.layers import Conv2d
from detectron2.structures import ImageList

from dld_spotter.modeling.backbones.fpn_features import FeatureMap
from dld_spotter.modeling.recognition.feature_source import FeatureSource


def test_the_feature_map_is_computed_once_and_not_before():
    images = ImageList.from_tensors([torch.zeros(3, 8, 8)])
    calls = []
    source = FeatureSource(images, lambda: calls.append(1) or FeatureMap(torch.ones(1, 2, 4, 4)))
    assert source.images is images and not calls
    assert source.feature_map is source.feature_map and calls == [1]


def test_a_map_is_finished_by_its_convolutions_in_their_order():
    values, convs = torch.rand(1, 2, 5, 5), (Conv2d(2, 3, 3, padding=1), Conv2d(3, 4, 3, padding=1))
    torch.testing.assert_close(FeatureMap(values, convs).finished(), convs[1](convs[0](values)))
    assert FeatureMap(values).finished() is values
