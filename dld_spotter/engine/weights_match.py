"""Whether weights are those of the network that a config describes.

What a file holds for a part of the model must find its place there, in its shape: weights are never dropped silently
from a part that the model has. So a backbone alone, a reader alone, or a plain spotter for student and teacher load,
and what the model has beyond them starts afresh; a network of other sizes does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from detectron2.modeling import FPN, META_ARCH_REGISTRY
from detectron2.modeling.roi_heads import ROIHeads
from torch import nn

from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.recognition.text_head_spotter import TextHeadSpotter

# Batches that a BatchNorm has seen: frozen ones have no such number, and none needs it.
COUNTER = ".num_batches_tracked"
_CHAINS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Leftovers:
    """What has not found its place.

    Attributes:
        missing: names of the model's tensors that were not loaded, for whatever reason.
        unexpected: names in the file that the model has not.
        shapes: name -> shapes in the file and in the model, where they differ.
        fresh: those of ``missing`` that shall start afresh.
    """

    missing: frozenset[str]
    unexpected: frozenset[str]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    fresh: frozenset[str] = frozenset()


def describe_misfit(model: nn.Module, left: Leftovers, *, foreign: bool, wanted: Iterable[str]) -> list[str]:
    """What shows that the weights are another network's: one clause each; empty if nothing does.

    Args:
        foreign: the weights come from another project, such as Detectron2's model zoo. Of these a whole backbone below
            the FPN is enough, and anything else that fits is welcome.
        wanted: names of the tensors that the file must hold.
    """
    wanted = set(wanted)
    clauses = [_shape_clause(name, shapes) for name, shapes in left.shapes.items() if not foreign]
    if not foreign:
        clauses += _homeless(model, left)
    clauses += _broken_chains(model, left, "bottom_up" if foreign else None)
    lacking = (left.missing & wanted) - left.fresh - left.shapes.keys()
    clauses += [f"the file has no {part}" for part in whole_parts(model, lacking)]
    return list(dict.fromkeys(clauses))


def inference_names(model: nn.Module) -> list[str]:
    """The tensors that predictions depend on: no teacher's, nor those of a selector that a fixed scale overrules.

    With MODEL.TEXT.READING_ONLY, those of recognition in given places.
    """
    idle = ["teacher.", "fusion.", "temperature"]
    if not isinstance(model, DLDSpotter):
        idle = ["fusion."]
    elif model.fixed_scale:
        idle.append("selector.")
    names = [n for n in model.state_dict() if not n.startswith(tuple(idle)) and not n.endswith(COUNTER)]
    if isinstance(model, TextHeadSpotter) and getattr(model, "reading_only", False):
        head = model.recogniser()
        parts = [name for name, module in model.named_modules() if module is head]
        parts += [] if head.pools_from_image else ["backbone"]
        names = [n for n in names if n.startswith(tuple(f"{part}." for part in parts))]
    return names


def whole_parts(model: nn.Module, names: Iterable[str]) -> list[str]:
    """The same tensors in fewer words: a module's name for all of its tensors."""
    names = {name for name in names if not name.endswith(COUNTER)}
    everything = [name for name in model.state_dict() if not name.endswith(COUNTER)]
    parts: list[str] = []
    for name in everything:
        if name not in names or any(name == part or name.startswith(f"{part}.") for part in parts):
            continue
        steps = name.split(".")
        prefixes = [".".join(steps[:count]) for count in range(1, len(steps) + 1)]
        below = {prefix: [n for n in everything if f"{n}.".startswith(f"{prefix}.")] for prefix in prefixes}
        parts.append(next(prefix for prefix in prefixes if names.issuperset(below[prefix])))
    return parts


def _components(model: nn.Module, prefix: str = "") -> Iterator[str]:
    """Names of the parts that a model may lack as a whole: what spotters, FPNs and RoI heads are made of."""
    for name, child in model.named_children():
        if isinstance(child, FPN | ROIHeads) or type(child).__name__ in META_ARCH_REGISTRY:
            yield from _components(child, f"{prefix}{name}.")
        elif child.state_dict():
            yield prefix + name


def _homeless(model: nn.Module, left: Leftovers) -> Iterator[str]:
    """Weights in the file for a part that the model has, but without such tensors."""
    for part in _components(model):
        names = [n for n in left.unexpected if n.startswith(f"{part}.") and not n.endswith(COUNTER)]
        if names:
            yield f"{part} has no place for {_some(names)}"


def _broken_chains(model: nn.Module, left: Leftovers, below: str | None) -> Iterator[str]:
    """Layers that follow each other, of which some are in the file and others are not.

    Args:
        below: look only into modules of this name, each of which counts as one chain.
    """
    names = [name for name in model.state_dict() if not name.endswith(COUNTER)]
    for prefix, module in model.named_modules():
        is_chain = isinstance(module, _CHAINS) if below is None else prefix.rpartition(".")[2] == below
        if not is_chain or not prefix:
            continue
        own = [name for name in names if name.startswith(f"{prefix}.")]
        lacking = [name for name in own if name in left.missing and name not in left.fresh | left.shapes.keys()]
        if lacking and (below or len(lacking) < len(own)):
            yield f"{prefix} lacks {_some(lacking)} in the file"


def _shape_clause(name: str, shapes: tuple[Sequence[int], Sequence[int]]) -> str:
    found, expected = (" x ".join(map(str, shape)) or "one number" for shape in shapes)
    return f"{name} is {found} in the file, {expected} in the model"


def _some(names: Sequence[str]) -> str:
    names = sorted(names)
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
