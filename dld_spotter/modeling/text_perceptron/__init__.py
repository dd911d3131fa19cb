"""Text Perceptron, the segmentation-based spotter of the DLD paper's Table 8."""

from dld_spotter.modeling.text_perceptron.spotter import TextPerceptron
from dld_spotter.modeling.text_perceptron.text_head import FiducialTextHead
