"""A tiny DLDSpotter around the light spotter, and its losses."""

import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from dld_spotter.modeling.dld.dld_spotter import DLDSpotter

SCALES = (0.5, 0.75, 1.0)


def build(*opts) -> DLDSpotter:
    model = build_model(
        toy.tiny_cfg(
            *("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", SCALES),
            *("MODEL.RESOLUTION_SELECTOR.WIDTH", 4, *opts),
        )
    )
    if model.teacher is not None:
        model.teacher.load_state_dict(model.student.state_dict())
    return model.train()


def losses_of(model, batch):
    with EventStorage() as storage:
        losses = model(batch)
        model.logged = {name: value for name, (value, _) in storage.latest().items()}
    return losses
