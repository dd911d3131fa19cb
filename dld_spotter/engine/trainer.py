"""The training loop: Detectron2's DefaultTrainer for text spotters, on GPUs or the CPU, resumed without a trace."""

import logging
import os
import weakref
from collections import OrderedDict

import torch
from detectron2.config import CfgNode
from detectron2.engine import AMPTrainer, DefaultTrainer, HookBase, create_ddp_model
from detectron2.engine.hooks import PeriodicCheckpointer, PeriodicWriter
from detectron2.engine.train_loop import TrainerBase
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.events import EventWriter, JSONWriter, TensorboardXWriter
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from dld_spotter.data.charset import Charset
from dld_spotter.data.loader import build_text_test_loader, build_text_train_loader
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.engine.hooks import BestCheckpoint, DrawSamples, TemperatureSchedule, unwrapped
from dld_spotter.engine.optimizer import build_optimizer
from dld_spotter.engine.resume import (
    EventFile,
    FinishedStep,
    MetricsFile,
    SeedEachStep,
    finish_step,
    forget_earlier_run,
    log_state,
    read_note,
    restore_log,
    tidy_checkpoints,
)
from dld_spotter.engine.steps import BFloat16Step, MixedPrecisionStep, TextStep
from dld_spotter.engine.weights_match import inference_names
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.evaluation.recognition import evaluate_recognition
from dld_spotter.evaluation.text_evaluator import TextEvaluator
from dld_spotter.modeling.acceleration.shape_bucketing import round_batch_sizes

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """Detectron2's DefaultTrainer with the text loader, evaluator, optimiser and checkpoints.

    A run that was killed and is resumed has the losses, evaluations and files of one that was not (see
    ``engine.resume``). A negative SEED is drawn once and kept in the checkpoints. (On a GPU the losses are equal as far
    as its kernels always add up in one order.)

    Several processes on the CPU work like several on GPUs, with gloo in place of NCCL. Mixed precision
    (``SOLVER.AMP.ENABLED``) is float16 on GPUs and bfloat16 on CPUs; measure whether it pays there: with avx512_bf16
    but without AMX, steps took a third longer than in float32.
    """

    def __init__(self, cfg: CfgNode):
        TrainerBase.__init__(self)  # DefaultTrainer's own __init__ fixes the parts that are changed here
        self._draws_seed = cfg.SEED < 0
        if torch.device(cfg.MODEL.DEVICE).type == "cpu":
            # Values that fade below 1e-38 cost a CPU many times what zeros do: with a pre-trained backbone, without
            # normalisation to keep them up, a step took twice as long.
            torch.set_flush_denormal(True)
        cfg = self.auto_scale_workers(cfg, comm.get_world_size())
        self.cfg = cfg = with_seed(cfg, comm.shared_random_seed()) if self._draws_seed else cfg
        self.start_iter, self.max_iter = 0, cfg.SOLVER.MAX_ITER
        self._writers: list[EventWriter] = []
        self._continues = False  # a run from a checkpoint of its own
        self._log: dict | None = None  # of the checkpoint that was loaded
        self._note: dict | None = None  # that nothing is outstanding after it

        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        model = distribute(model)
        # The loader is built when training starts, since only then the first iteration is known.
        accumulation = cfg.SOLVER.ACCUMULATION
        self._trainer = step_class(cfg)(model, data_loader=None, optimizer=optimizer, accumulation=accumulation)
        self.checkpointer = TextCheckpointer(
            model,
            cfg.OUTPUT_DIR,
            on_charset_change=cfg.MODEL.TEXT.ON_CHARSET_CHANGE,
            trainer=weakref.proxy(self),
        )
        self.register_hooks(self.build_hooks())

    def build_hooks(self) -> list[HookBase]:
        """Detectron2's hooks; before them the seeding, after the evaluation samples and best checkpoint."""
        hooks = [SeedEachStep(), *(hook for hook in super().build_hooks() if hook is not None)]
        if not comm.is_main_process():
            return hooks
        samples = self.build_sample_hook(self.cfg)
        best = BestCheckpoint(self.checkpointer, self.cfg.TEST.BEST_METRIC)
        for place, hook in enumerate(hooks):
            if isinstance(hook, PeriodicCheckpointer):
                hook.max_to_keep = self.cfg.SOLVER.CHECKPOINTS_KEPT or None
            if isinstance(hook, PeriodicWriter):
                writer = place
        finished = FinishedStep(self.checkpointer, self.cfg.SOLVER.CHECKPOINT_PERIOD, self._writers)
        return [*hooks[:writer], *([samples] if samples else []), best, *hooks[writer:], finished]

    def build_writers(self) -> list[EventWriter]:
        """Detectron2's writers, of which those of files can be brought back to an earlier state."""
        folder = self.cfg.OUTPUT_DIR
        for writer in super().build_writers():
            if isinstance(writer, JSONWriter):
                writer.close()
                writer = MetricsFile(os.path.join(folder, "metrics.json"))
            elif isinstance(writer, TensorboardXWriter):
                writer = EventFile(folder)
            self._writers.append(writer)
        return self._writers

    def resume_or_load(self, resume: bool = True) -> None:
        """As the parent: go on from OUTPUT_DIR's latest checkpoint, or start from MODEL.WEIGHTS."""
        self._continues = resume and self.checkpointer.has_checkpoint()
        super().resume_or_load(resume)
        if self._continues:
            self._tidy_folder()
            return
        self._load_teacher()
        if resume:
            logger.warning("Nothing to resume in %s: starting from MODEL.WEIGHTS.", self.cfg.OUTPUT_DIR)
        if comm.is_main_process():
            forget_earlier_run(self.cfg.OUTPUT_DIR)
            for writer in self._writers:
                if resume and isinstance(writer, MetricsFile):  # what it holds is of a run without a checkpoint
                    writer.load_state_dict({"size": 0, "last_write": -1})

    def _tidy_folder(self) -> None:
        """Let the folder be as the run left it at its last checkpoint."""
        for hook in self._hooks:
            if isinstance(hook, PeriodicCheckpointer):  # on the main process
                keep = self.cfg.SOLVER.CHECKPOINTS_KEPT
                hook.recent_checkpoints = tidy_checkpoints(self.cfg.OUTPUT_DIR, self.start_iter - 1, keep)

    def _load_teacher(self) -> None:
        """Give a frozen teacher its own checkpoint, MODEL.DLD.TEACHER_WEIGHTS, where there is one."""
        teacher, path = getattr(unwrapped(self.model), "teacher", None), self.cfg.MODEL.DLD.TEACHER_WEIGHTS
        if teacher is None:
            return
        if path:
            TextCheckpointer(teacher).load(path)
        elif not self.cfg.MODEL.WEIGHTS:
            logger.warning("The teacher keeps its initial values: set MODEL.WEIGHTS or MODEL.DLD.TEACHER_WEIGHTS.")
        elif {f"teacher.{name}" for name in inference_names(teacher)} & self.checkpointer.untouched:
            raise ValueError(
                f"MODEL.WEIGHTS {self.cfg.MODEL.WEIGHTS} holds no teacher, or not all of one, as an exported model: "
                "set MODEL.DLD.TEACHER_WEIGHTS to the checkpoint of the teacher."
            )

    def train(self) -> OrderedDict | None:
        """Train from the start iteration to SOLVER.MAX_ITER.

        Returns:
            the results of the last evaluation; None in all processes but the first, or if there was none.

        Raises:
            ValueError: the run that is resumed has gone beyond SOLVER.MAX_ITER.
        """
        if self.start_iter > self.max_iter:
            raise ValueError(
                f"{self.cfg.OUTPUT_DIR} holds a run of {self.start_iter} iterations, beyond SOLVER.MAX_ITER "
                f"{self.max_iter}: raise SOLVER.MAX_ITER to go on, or start a new run in another OUTPUT_DIR."
            )
        self._note = self._read_note()
        if self._note and self.start_iter == self.max_iter:
            logger.info("Nothing to do: the run in %s has all its %d iterations.", self.cfg.OUTPUT_DIR, self.max_iter)
            return None
        loader = self.build_train_loader(self.cfg, self.start_iter)
        self._trainer.reset_data_loader(lambda: loader)
        if getattr(unwrapped(self.model), "selector", None) is not None:
            dld, epoch = self.cfg.MODEL.DLD, len(loader.dataset) / self.cfg.SOLVER.IMS_PER_BATCH
            self.register_hooks([TemperatureSchedule(dld.TEMPERATURE, dld.TEMPERATURE_DECAY, epoch)])
        super().train()
        return getattr(self, "_last_eval_results", None) or None

    def _read_note(self) -> dict | None:
        """What ``FinishedStep`` noted for the checkpoint from which the run goes on; the same in all processes."""
        if not self._continues:
            return None
        note = None
        if comm.is_main_process():
            note = read_note(self.checkpointer.get_checkpoint_file(), self.start_iter - 1)
        return comm.all_gather(note)[0]

    def before_train(self) -> None:
        """As the parent; a resumed run first gets its log back, and does what its last iteration had still to do."""
        log = self._note["log"] if self._note else self._log
        if log and comm.is_main_process():
            restore_log(self.storage, self._writers, log)
        super().before_train()
        if self._continues and not self._note:
            finish_step(self, self.checkpointer)

    def after_train(self) -> None:
        """As the parent, at MAX_ITER also where no iteration was left."""
        self.iter = min(self.iter, self.max_iter)
        super().after_train()

    def state_dict(self) -> dict:
        """As the parent, with the seed and, during training, the log."""
        state = super().state_dict() | {"seed": self.cfg.SEED}
        return state | {"log": log_state(self.storage, self._writers)} if hasattr(self, "storage") else state

    def load_state_dict(self, state_dict: dict) -> None:
        """As the parent, with the seed, unless the config asks for another; the log waits for the training."""
        if isinstance(self._trainer, AMPTrainer):  # a run may go over to mixed precision
            state_dict["_trainer"].setdefault("grad_scaler", self._trainer.grad_scaler.state_dict())
        super().load_state_dict(state_dict)
        self._log = state_dict.get("log")
        seed = state_dict.get("seed", self.cfg.SEED)
        if self._draws_seed:
            self.cfg = with_seed(self.cfg, seed)
        elif seed != self.cfg.SEED:
            logger.warning("The run began with SEED %d and goes on with %d: other samples follow.", seed, self.cfg.SEED)

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """As the parent; on a GPU its convolutions see few batch sizes."""
        model = super().build_model(cfg)
        if torch.device(cfg.MODEL.DEVICE).type == "cuda":
            round_batch_sizes(model)
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> Optimizer:
        """See ``engine.optimizer``."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode, start_iter: int = 0) -> DataLoader:
        """See ``data.loader``."""
        return build_text_train_loader(cfg, start_iter=start_iter)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> DataLoader:
        """See ``data.loader``."""
        return build_text_test_loader(cfg, dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """The text evaluator, which writes into OUTPUT_DIR/inference/data set."""
        return TextEvaluator(dataset_name, cfg, os.path.join(cfg.OUTPUT_DIR, "inference", dataset_name))

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators: list[DatasetEvaluator] | None = None) -> OrderedDict:
        """As the parent; with TEST.TEXT.READ_GROUND_TRUTH the results have the task "recognition", too.

        With MODEL.TEXT.READING_ONLY as well, they have that alone.
        """
        alone = cfg.MODEL.TEXT.READING_ONLY and cfg.TEST.TEXT.READ_GROUND_TRUTH
        results = OrderedDict() if alone else super().test(cfg, model, evaluators)
        for name in cfg.DATASETS.TEST if cfg.TEST.TEXT.READ_GROUND_TRUTH else ():
            loader = build_text_test_loader(cfg, name, keep_annotations=True)
            charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
            figures = evaluate_recognition(model, loader, charset, Protocol.from_cfg(cfg))
            if figures:  # on the main process
                # The parent leaves out the level of the data sets where there is only one.
                (results if len(cfg.DATASETS.TEST) == 1 else results.setdefault(name, {}))["recognition"] = figures
        return results

    @classmethod
    def build_sample_hook(cls, cfg: CfgNode) -> HookBase | None:
        """What draws samples at each evaluation, or None."""
        return DrawSamples.from_config(cfg)


def with_seed(cfg: CfgNode, seed: int) -> CfgNode:
    """A copy of the config with this SEED."""
    frozen, cfg = cfg.is_frozen(), cfg.clone()
    cfg.defrost()
    cfg.SEED = int(seed)
    if frozen:
        cfg.freeze()
    return cfg


def distribute(model: nn.Module) -> nn.Module:
    """The model as it is for one process, wrapped in DistributedDataParallel for several, on GPUs or on the CPU.

    Raises:
        ValueError: the processes can only talk through GPUs (NCCL), but the model is on the CPU.
    """
    on_cpu = next(model.parameters()).device.type == "cpu"
    if on_cpu and comm.get_world_size() > 1 and torch.distributed.get_backend() == "nccl":
        raise ValueError(
            "MODEL.DEVICE is 'cpu', but the processes were started for GPUs; hide the GPUs: "
            "CUDA_VISIBLE_DEVICES= python train_net.py ..."
        )
    return create_ddp_model(model, broadcast_buffers=False, device_ids=None if on_cpu else [comm.get_local_rank()])


def step_class(cfg: CfgNode) -> type[TextStep]:
    """What makes one step: in mixed precision if the config asks for it and the device can."""
    if not cfg.SOLVER.AMP.ENABLED:
        return TextStep
    steps = {"cuda": MixedPrecisionStep, "cpu": BFloat16Step}
    device = torch.device(cfg.MODEL.DEVICE).type
    if device not in steps:
        logger.warning("SOLVER.AMP.ENABLED needs a GPU or a CPU; on '%s' training goes on in float32.", device)
    return steps.get(device, TextStep)
