"""Ground truth without words."""

from dld_spotter.evaluation.ground_truth import GroundTruth, TruthImage


def truth_of(*names):
    """Images of these names, with the ids 11, 12 and so on."""
    return GroundTruth([TruthImage(name, i, []) for i, name in enumerate(names, start=11)], "the test set")
