"""MANGO: a one-stage spotter that reads by mask attention (importing registers "MANGO")."""

from dld_spotter.modeling.mango.config import add_mango_config
from dld_spotter.modeling.mango.spotter import MANGO
