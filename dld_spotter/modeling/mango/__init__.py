"""MANGO: a one-stage spotter that reads by mask attention (importing registers "MANGO")."""

from dld_spotter.modeling.mango.mango_spotter import MANGO
