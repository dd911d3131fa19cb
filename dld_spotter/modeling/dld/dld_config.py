"""Options of the resolution selector and of distillation."""

from detectron2.config import CfgNode as CN


def add_distillation_config(cfg: CN) -> None:
    """Add MODEL.RESOLUTION_SELECTOR and MODEL.DLD."""
    selector = cfg.MODEL.RESOLUTION_SELECTOR = CN()
    selector.NAME = "ResidualSelector"
    # Channels of its first block; each later block has twice as many.
    selector.WIDTH = 32
    # Squares of this many pixels a side become the channels of one position: the cost falls with its square.
    selector.FOLD = 4
    selector.NORM = "BN"

    dld = cfg.MODEL.DLD = CN()  # used by META_ARCHITECTURE "DLDSpotter"; symbols are the paper's
    # The meta-architecture of teacher and student.
    dld.SPOTTER = "MaskRCNNSpotter"
    # KEY VALUE pairs in which the student's config differs from the teacher's.
    dld.STUDENT_OPTS = []
    # Whether there is a teacher; an exported model has none.
    dld.TEACHER = True
    # The teacher's own checkpoint; empty: MODEL.WEIGHTS serves both.
    dld.TEACHER_WEIGHTS = ""
    # Candidate factors on height and width of the teacher's resolution; a single one needs no selector.
    dld.SCALES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    # T_i, the cost of each candidate relative to the teacher's (tools/analyze_cost.py measures it); empty: scale**2.
    dld.COSTS = ()
    # "selector", or "random": a random candidate for each image in training.
    dld.SELECTION = "selector"
    # Inference at this scale whatever the selector says; 0: the selector decides.
    dld.FIXED_SCALE = 0.0
    # gamma: larger values prefer smaller images.
    dld.GAMMA = 0.1
    # Added at inference to the gamma of a selector that tools/fit_selector.py made: the price of the cost, by choice.
    dld.GAMMA_SHIFT = 0.0
    # What L_acc compares the student's mixed reading with: "kl" (the teacher's distribution), "ce" (the true text).
    dld.ACCURACY_TARGET = "kl"
    # tau of the Gumbel-softmax: TEMPERATURE * TEMPERATURE_DECAY ** epoch.
    dld.TEMPERATURE = 5.0
    dld.TEMPERATURE_DECAY = 0.965
    # Weights of L_roi (1 in the paper), L_con (eta_1), L_seq (eta_2), L_DRS (lambda_2), L_SKD (lambda_3).
    dld.ETA_ROI = 1.0
    dld.ETA_CONTEXT = 1.0
    dld.ETA_SEQUENCE = 1.0
    dld.LAMBDA_DRS = 1.0
    dld.LAMBDA_SKD = 1.0
    # Rivals of SKD, times LAMBDA_SKD as well. Per step of decoding, by Bhunia et al. (ICCV 2021): the logits (at this
    # temperature), the glimpses (hint), the attention, and the affinity of glimpses within a word.
    dld.ETA_LOGITS = 0.0
    dld.LOGIT_TEMPERATURE = 2.0
    dld.ETA_HINT = 0.0
    dld.ETA_ATTENTION = 0.0
    dld.ETA_AFFINITY = 0.0
    # The detector's feature pyramid, aligned across resolutions, by Qi et al. (CVPR 2021); their alpha * tau is 0.6.
    # The weight grows from 0 over the first iterations.
    dld.ETA_PYRAMID = 0.0
    dld.PYRAMID_WARMUP_ITERS = 500
    # The teacher's pyramid: "none" (that of the full resolution), or "learned" (fused with that of half of it), for
    # which MODEL.WEIGHTS is a checkpoint of META_ARCHITECTURE "PyramidFusionTrainer".
    dld.PYRAMID_FUSION = "none"
    # K teacher sequences a word in L_seq, found by a beam of this width.
    dld.NUM_SEQUENCES = 1
    dld.BEAM_WIDTH = 5
