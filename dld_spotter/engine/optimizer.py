"""The optimiser that the config asks for, with gradient clipping."""

from collections.abc import Callable

from detectron2.config import CfgNode
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW, Optimizer

# Reading the norm waits for the device, so it is logged once in this many steps, as often as the writers write.
_NORM_LOG_PERIOD = 20


def build_optimizer(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """``SOLVER.OPTIMIZER`` over the parameters that take a gradient, clipped as ``SOLVER.CLIP_GRADIENTS`` says.

    The learning rate is ``BASE_LR``, of biases ``BIAS_LR_FACTOR`` times as much, and both times ``LR_FACTORS``.
    Weight decay is ``WEIGHT_DECAY``, of normalisation layers ``WEIGHT_DECAY_NORM``, of biases (an LSTM's too)
    ``WEIGHT_DECAY_BIAS``. ``CLIP_TYPE`` "full_model" scales all gradients together so that their joint norm is at most
    ``CLIP_VALUE``; Detectron2's "norm" and "value" treat each parameter by itself.

    Raises:
        ValueError: ``SOLVER.OPTIMIZER`` or ``SOLVER.CLIP_GRADIENTS.CLIP_TYPE`` is none of these, or a pair of
            ``SOLVER.LR_FACTORS`` fits no parameter or holds no positive number.
    """
    solver = cfg.SOLVER
    params = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay=solver.WEIGHT_DECAY,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        lr_factor_func=_learning_rate_factor(cfg, model),
        overrides=_bias_overrides(cfg, model),
    )
    if solver.OPTIMIZER not in ("AdamW", "SGD"):
        raise ValueError(f"SOLVER.OPTIMIZER is '{solver.OPTIMIZER}'; use 'AdamW' or 'SGD'.")
    clip = solver.CLIP_GRADIENTS
    if clip.CLIP_TYPE not in ("full_model", "norm", "value"):
        raise ValueError(f"SOLVER.CLIP_GRADIENTS.CLIP_TYPE is '{clip.CLIP_TYPE}'; use 'full_model', 'norm' or 'value'.")
    options = {"lr": solver.BASE_LR}
    if solver.OPTIMIZER == "SGD":
        options |= {"momentum": solver.MOMENTUM, "nesterov": solver.NESTEROV}
    optimizer_class = AdamW if solver.OPTIMIZER == "AdamW" else SGD
    if clip.CLIP_TYPE != "full_model":
        return maybe_add_gradient_clipping(cfg, optimizer_class)(params, **options)
    optimizer = optimizer_class(params, **options)
    if clip.ENABLED:
        _clip_full_model(optimizer, clip.CLIP_VALUE, clip.NORM_TYPE)
    return optimizer


def _learning_rate_factor(cfg: CfgNode, model: nn.Module) -> Callable[[str], float]:
    """Name of a parameter -> its learning rate as a multiple of ``SOLVER.BASE_LR``."""
    factors = dict(map(tuple, cfg.SOLVER.LR_FACTORS))
    names = [name for name, _ in model.named_parameters()]
    for part, factor in factors.items():
        if not any(part in name for name in names) or not factor > 0:
            raise ValueError(
                f"SOLVER.LR_FACTORS has ({part!r}, {factor}), but needs a part of a parameter's name, such as "
                f"'text_head', and a factor above 0. Parameters are called {names[0]}, ..., {names[-1]}."
            )

    def factor_of(name: str) -> float:
        factor = next((factor for part, factor in factors.items() if part in name), 1.0)
        return factor * (cfg.SOLVER.BIAS_LR_FACTOR if _is_bias(name) else 1.0)

    return factor_of


def _bias_overrides(cfg: CfgNode, model: nn.Module) -> dict[str, dict[str, float]]:
    """The weight decay of every parameter that is a bias: Detectron2 knows only those named just "bias"."""
    if cfg.SOLVER.WEIGHT_DECAY_BIAS is None:
        return {}
    names = {name.rpartition(".")[2] for name, _ in model.named_parameters() if _is_bias(name)}
    return {name: {"weight_decay": cfg.SOLVER.WEIGHT_DECAY_BIAS} for name in names}


def _is_bias(name: str) -> bool:
    return "bias" in name.rpartition(".")[2]


def _clip_full_model(optimizer: Optimizer, largest: float, norm_type: float) -> None:
    """Let every step of the optimiser first scale all gradients to a joint norm of at most ``largest``."""

    def clip(optimizer: Optimizer, *_) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = clip_grad_norm_(parameters, largest, norm_type)
        if has_event_storage() and (get_event_storage().iter + 1) % _NORM_LOG_PERIOD == 0:
            get_event_storage().put_scalar("gradient_norm", norm.item(), smoothing_hint=False)

    # Mixed precision unscales the gradients before the optimiser's step, so they have their true size here.
    optimizer.register_step_pre_hook(clip)
