"""The student's own options, where it differs from its teacher."""

from detectron2.config import CfgNode

from dld_spotter.yaml_files import merge_pairs


def student_cfg(cfg: CfgNode) -> CfgNode:
    """The student's config: the teacher's, with ``MODEL.DLD.STUDENT_OPTS`` on top."""
    cfg = cfg.clone()
    cfg.defrost()
    merge_pairs(cfg, cfg.MODEL.DLD.STUDENT_OPTS)
    return cfg
