"""Multiply-adds and parameters of a spotter's inference, by part.

Conventions. One multiply-add counts as one, as in fvcore. Convolutions and matrix products are counted, and with them
linear layers, every step of LSTMs and decoders, and attention's weighted sums. Nothing else is: normalisation,
activation, pooling, RoIAlign, resizing, sorting and suppression of boxes cost no multiply-adds here.

``CostModel`` runs networks on the "meta" device, where tensors have sizes but no values. How many proposals and words
an image holds is therefore given (``Workload``), and a count needs neither weights nor photos.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from detectron2.structures import ImageList
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.spotter import Spotter
from dld_spotter.modeling.spotter_parts import CountableSpotter, Workload, require

GIGA = 10**9
# The paper's tables divide fvcore's multiply-adds by this, and call the result GFLOPS.
PAPER_UNIT = 2**30
SELECTOR = "selector"
OTHER = "other"

Parts = Mapping[str, Sequence[str]]
Size = tuple[int, int]  # height and width of an image as the network gets it


def part_of(name: str, parts: Parts) -> str:
    """The part whose prefix is the longest that a module's or parameter's name begins with; else "other"."""
    matching = [
        (len(prefix), part) for part, prefixes in parts.items() for prefix in prefixes if name.startswith(prefix)
    ]
    return max(matching)[1] if matching else OTHER


def count_parameters(module: nn.Module, parts: Parts) -> dict[str, int]:
    """Parameters of a module by part; buffers, and so frozen normalisation, do not count."""
    counts = dict.fromkeys([*parts, OTHER], 0)
    for name, parameter in module.named_parameters():
        counts[part_of(name, parts)] += parameter.numel()
    return counts


class LSTMCounter(TorchFunctionMode):
    """Counts LSTMs by their sizes: ``multiply_adds``.

    A fused kernel is one operation into which no counter looks; what one sees of other kernels is corrected. On "meta",
    where an LSTM would fall into some thousand operations, its results are made up.

    Args:
        counter: that counts all else.
    """

    def __init__(self, counter: FlopCounterMode):
        super().__init__()
        self.counter = counter
        self.multiply_adds = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is not torch.lstm or isinstance(args[1], Tensor):  # the latter is a packed sequence
            return func(*args, **kwargs)
        sequence, states, weights = args[:3]
        seen = self.counter.get_total_flops() // 2
        if sequence.device.type == "meta":
            directions = 2 if args[7] else 1
            output = sequence.new_empty(*sequence.shape[:2], directions * states[0].shape[-1])
            result = (output, *(torch.empty_like(state) for state in states))
        else:
            result = func(*args, **kwargs)
        steps = sequence.shape[0] * sequence.shape[1]
        expected = steps * sum(weight.numel() for weight in weights if weight.dim() == 2)
        self.multiply_adds += expected - (self.counter.get_total_flops() // 2 - seen)
        return result


def count_multiply_adds(run: Callable[[], object], module: nn.Module, parts: Parts) -> dict[str, int]:
    """Multiply-adds of a computation by part.

    Args:
        run: what is counted.
        module: the network, whose submodules tell the parts.
        parts: as ``CountableSpotter.cost_parts``; an operation belongs to the innermost module that runs.
    """
    counts = dict.fromkeys([*parts, OTHER], 0)
    running = [OTHER]
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        counter = stack.enter_context(FlopCounterMode(display=False))
        lstms = stack.enter_context(LSTMCounter(counter))

        def settle() -> None:
            """Ascribe what was counted since the last call; torch counts a multiply-add as two."""
            total = counter.get_total_flops() // 2 + lstms.multiply_adds
            counts[running[-1]] += total - sum(counts.values())

        def leave(*_) -> None:
            settle()
            running.pop()

        def entering(part: str) -> Callable:
            def enter(*_) -> None:
                settle()
                running.append(part)

            return enter

        for name, submodule in module.named_modules():
            stack.callback(submodule.register_forward_pre_hook(entering(part_of(name, parts))).remove)
            stack.callback(submodule.register_forward_hook(leave).remove)
        run()
        settle()
    return counts


class CostModel:
    """What a model's inference costs on one image of a given size; sizes that pad alike are counted once.

    Images are padded, and candidates resized, as in inference.

    Args:
        model: a Spotter, or a DLDSpotter. Of the latter, the student and the selector infer; the teacher is what their
            cost is compared with, and an exported student without one is compared with itself at full resolution.
        work: what each image holds.
    """

    def __init__(self, model: nn.Module, work: Workload):
        student: Any = model
        teacher, selector = None, None
        self.scales: tuple[float, ...] = (1.0,)
        if isinstance(model, DLDSpotter):
            student, teacher, selector = model.student, model.teacher, model.selector
            self.scales = model.scales
        if not isinstance(student, Spotter):
            raise ValueError(
                f"{type(student).__name__} cannot be counted: it is no Spotter. Known are MODEL.META_ARCHITECTURE "
                "DLDSpotter and the spotters that MODEL.DLD.SPOTTER can name."
            )
        countable = require(student, CountableSpotter, "its costs cannot be counted")  # type: ignore[type-abstract]
        self.work = work
        self.parts = dict(countable.cost_parts)
        self._student: Any = _on_meta(student)  # a Spotter and a CountableSpotter
        self._teacher: Any = _on_meta(teacher) if teacher is not None else self._student
        self._selector = _on_meta(selector) if selector is not None else None
        self._counted: dict[tuple, dict[str, int]] = {}

    def student(self, size: Size, scale: float, work: Workload | None = None) -> dict[str, int]:
        """Multiply-adds by part of the student at a scale of the network's input ``size``, without the selector.

        ``work`` counts in place of the cost model's own.
        """
        return self._spot(self._student, size, scale, work)

    def teacher(self, size: Size, work: Workload | None = None) -> dict[str, int]:
        """Multiply-adds by part of the teacher, at full resolution."""
        return self._spot(self._teacher, size, 1.0, work)

    def selector(self, size: Size) -> int:
        """Multiply-adds of the selector, which sees the full resolution; 0 without one."""
        selector = self._selector
        if selector is None:
            return 0
        images = self._images(size)
        key = (selector, *images.tensor.shape)
        if key not in self._counted:
            self._counted[key] = count_multiply_adds(lambda: selector(images), selector, {})
        return sum(self._counted[key].values())

    def inference(self, size: Size, scale: float, work: Workload | None = None) -> dict[str, int]:
        """Multiply-adds by part of student and selector."""
        return self.student(size, scale, work) | {SELECTOR: self.selector(size)}

    def parameters(self) -> dict[str, int]:
        """Parameters of student and selector by part."""
        selector = sum(p.numel() for p in self._selector.parameters()) if self._selector is not None else 0
        return count_parameters(self._student, self.parts) | {SELECTOR: selector}

    def _spot(self, spotter: Any, size: Size, scale: float, work: Workload | None) -> dict[str, int]:
        work = work or self.work
        images = rescale_images(self._images(size), scale)
        key = (spotter, work, *images.tensor.shape)
        if key not in self._counted:
            parts = spotter.cost_parts
            self._counted[key] = count_multiply_adds(lambda: spotter.dry_run(images, work), spotter, parts)
        return self._counted[key]

    def _images(self, size: Size) -> ImageList:
        """One image without values, padded as the spotter pads it."""
        image = torch.zeros(3, *size, dtype=torch.uint8, device="meta")
        return self._student.preprocess_image([{"image": image}])


def _on_meta(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode without values."""
    memo: dict[int, Tensor] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(module, memo).eval()
