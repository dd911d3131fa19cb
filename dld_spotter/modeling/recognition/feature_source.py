"""What the features of words are made from: the images of a batch, and their feature map."""

from collections.abc import Callable
from functools import cached_property

from detectron2.structures import ImageList

from dld_spotter.modeling.backbones.fpn_features import FeatureMap


class FeatureSource:
    """A batch as recognisers pool from it: those that need a feature map ask for it, others cost no backbone.

    Args:
        images: normalised and padded.
        compute_feature_map: called at most once.
    """

    def __init__(self, images: ImageList, compute_feature_map: Callable[[], FeatureMap]):
        self.images = images
        self._compute_feature_map = compute_feature_map

    @cached_property
    def feature_map(self) -> FeatureMap:
        """Of the images, at the stride that the recogniser pools from."""
        return self._compute_feature_map()
