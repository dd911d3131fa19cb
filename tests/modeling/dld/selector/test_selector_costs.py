"""The candidate scales and their costs."""

import pytest
import toy

from dld_spotter.modeling.dld.selector.scale_costs import CandidateScales


@pytest.mark.parametrize(("given", "costs"), [((0.3, 1.1), (0.3, 1.1)), ((), (0.25, 1.0))])
def test_costs_are_measured_ones_or_squares(given, costs):
    cfg = toy.tiny_cfg("MODEL.DLD.SCALES", (0.5, 1.0), "MODEL.DLD.COSTS", given)
    assert CandidateScales.from_config(cfg) == CandidateScales((0.5, 1.0), costs)
