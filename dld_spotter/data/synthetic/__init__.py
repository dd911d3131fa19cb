"""Drawn scenes with exact outlines: plain ones (tests, demo) and ones that look like photographs (training data)."""

from dld_spotter.data.synthetic.plain import Scene, draw_scene, draw_word
