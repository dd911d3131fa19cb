"""What the paper's tables of cost, chosen scales and feature distances are made from."""

from dld_spotter.analysis.features import FeatureDistances, feature_distance, measure_distances
from dld_spotter.analysis.flops import CostModel, count_multiply_adds, count_parameters
from dld_spotter.analysis.scales import choose_scales, chosen_cost, mean_counts, relative_costs, scale_shares
