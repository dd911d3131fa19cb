"""Text Perceptron, the segmentation-based spotter of the DLD paper's Table 8."""

from dld_spotter.modeling.text_perceptron.fiducial_recogniser import FiducialTextHead
from dld_spotter.modeling.text_perceptron.text_perceptron_spotter import TextPerceptron
