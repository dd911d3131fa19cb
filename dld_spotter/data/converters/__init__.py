"""Foreign annotation formats -> our JSON.

Each converter takes the image folder, the annotations and a ``Problems`` to note findings in, and gives a ``Source``:
samples that are made while they are asked for. ``write_samples`` writes them. A converter says how each image and word
is read; ``reading`` reads them, so that one that cannot be used is left out and noted, and the others go on.
"""

from dld_spotter.data.converters.common import Sample, Source, Summary, Word, write_samples
from dld_spotter.data.converters.json_formats import cocotext, davar
from dld_spotter.data.converters.labelling_tools import labelme, ppocrlabel
from dld_spotter.data.converters.synthtext import synthtext
from dld_spotter.data.converters.text_folders import icdar, icdar2013, icdar2015, mlt2017, outlines
from dld_spotter.data.converters.totaltext import totaltext

CONVERTERS = {
    converter.__name__: converter
    for converter in (
        icdar2013,
        icdar2015,
        totaltext,
        mlt2017,
        synthtext,
        cocotext,
        davar,
        icdar,
        outlines,
        labelme,
        ppocrlabel,
    )
}
