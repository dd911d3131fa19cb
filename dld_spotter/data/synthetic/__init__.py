"""Synthetic scenes with exact outlines: plain ones (tests, demo) and photograph-like ones (training data)."""

from dld_spotter.data.synthetic.plain import Scene, draw_scene, draw_word
