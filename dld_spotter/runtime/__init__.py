"""Reading with exported graphs: NumPy, OpenCV, Pillow, and ONNX Runtime or OpenVINO; neither PyTorch nor Detectron2.

``dld-spotter export`` writes the graphs, and every model of the project comes with its own.

- ``settings``: what ``graphs.json`` says of a model.
- ``engines``: a graph on ONNX Runtime or OpenVINO.
- ``graph_reader``: from an image to its words, step by step.
- ``images``, ``scales``, ``boxes``, ``pooling``, ``masks``, ``word_pictures``, ``word_maps``, ``texts``: the steps
  between graphs, each with the formula of the PyTorch model.
"""

from dld_spotter.runtime.graph_reader import GraphReader

__all__ = ["GraphReader"]
