"""MANGO: a one-stage spotter that reads by mask attention (importing registers "MANGO")."""

from dld_spotter.modeling.mango.spotter import MANGO
