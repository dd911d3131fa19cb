"""A checkpoint with other characters than the model's: what differs, and which rows of its layers are kept."""

from typing import Any

import torch
from torch import Tensor, nn

from dld_spotter.data.charset import NUM_SPECIAL

CHARSET_SUFFIX = ".charset_code_points"
# Rows before those of the characters: the special tokens of an attention decoder, the blank of a CTC decoder.
LEADING_ROWS = (NUM_SPECIAL, 1)


def check_code_points(codes: Tensor, where: str) -> None:
    """Raise ValueError, with ``where``, unless these can be characters."""
    if codes.ndim != 1 or codes.is_floating_point() or not ((codes >= 0) & (codes <= 0x10FFFF)).all():
        raise ValueError(f"{where} is no list of characters; the file is damaged, or no checkpoint of a text spotter.")


def keep_shared_rows(weights: dict[str, Any], model: nn.Module, buffer_name: str, prefix: str) -> list[str]:
    """Make the layers sized by a charset fit the model's, in place: rows of shared characters are the checkpoint's.

    Rows of other characters keep the model's values, and so do layers that the checkpoint does not have.

    Args:
        weights: of the checkpoint, by name.
        model: that gets the weights.
        buffer_name: the model's charset; the modules beside it are looked through.
        prefix: how names in the checkpoint begin beyond the model's.

    Returns:
        the names of the parameters that were changed.
    """
    found = torch.as_tensor(weights[prefix + buffer_name]).tolist()
    expected = model.get_buffer(buffer_name)
    place = {code: row for row, code in enumerate(found)}
    pairs = [(row, place[code]) for row, code in enumerate(expected.tolist()) if code in place]
    own, theirs = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(dim=1)
    changed = []
    for name, leading in _sized_parameters(model, buffer_name):
        value = weights.get(prefix + name)
        if value is None or len(value) != len(found) + leading:
            continue
        kept = model.state_dict()[name].detach().clone().to(value.dtype).cpu()
        kept[:leading] = value[:leading]
        kept[own + leading] = value[theirs + leading]
        weights[prefix + name] = kept
        changed.append(name)
    weights[prefix + buffer_name] = expected.clone()
    return changed


def _sized_parameters(model: nn.Module, buffer_name: str) -> list[tuple[str, int]]:
    """Names of the parameters with a row for each character, and how many rows come before these."""
    head_name = buffer_name.removesuffix(CHARSET_SUFFIX)
    characters = len(model.get_buffer(buffer_name))
    names = []
    for module_name, module in model.get_submodule(head_name).named_modules():
        rows = getattr(module, "num_embeddings", getattr(module, "out_features", None))
        for leading in LEADING_ROWS:
            if rows == characters + leading:
                names += [
                    (f"{head_name}.{module_name}.{name}", leading) for name, _ in module.named_parameters(recurse=False)
                ]
    return names


def describe_difference(found: Tensor, expected: Tensor) -> str:
    """What distinguishes the characters of a checkpoint (code points) from the model's, in words."""
    known, wanted = (dict.fromkeys(map(chr, codes.tolist())) for codes in (found, expected))
    lacking = [c for c in known if c not in wanted]
    added = [c for c in wanted if c not in known]
    sizes = f"it has {len(found)}, the config {len(expected)}"
    if not lacking and not added:
        return f"{sizes}, the same ones in another order."
    parts = [f"only in the checkpoint: {_quote(lacking)}"] if lacking else []
    parts += [f"only in the config: {_quote(added)}"] if added else []
    return f"{sizes}; {'; '.join(parts)}."


def _quote(characters: list[str], at_most: int = 20) -> str:
    shown = " ".join(repr(c)[1:-1] if c != " " else "(space)" for c in characters[:at_most])
    return shown if len(characters) <= at_most else f"{shown} and {len(characters) - at_most} more"
