"""A resolution selector for a student that stays as it is, from readings that are made once.

The selector's loss reaches the selector alone, and a frozen student reads an image at a scale always the same. So what
each scale loses is measured once an image, and the selector learns to foresee these figures, at the price of the
selector alone: for a first selector (a student begins as its teacher's copy), or for any gamma of a finished student,
which is a shift of the logits by then. The formulas stand in ``modeling/dld/selector/regression.py``. Another measure
of what a scale loses is in ``spotting_errors.py``.

Shapes: M images, k candidate scales, B images a batch.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from detectron2.evaluation import inference_context
from detectron2.structures import ImageList
from torch import Tensor, nn
from tqdm import tqdm

from dld_spotter.data.charset import PAD
from dld_spotter.data.loader import build_record_loader
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.rescaling import rescale_images, rescale_words
from dld_spotter.modeling.dld.selector.backbone_selector import BackboneSelector
from dld_spotter.modeling.dld.selector.regression import SHARPNESS, ScaleLosses, fitting_loss, recognition_divergence
from dld_spotter.modeling.spotter import readable_words, target_tokens

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitOptions:
    """How long and with what a selector is fitted.

    Attributes:
        iterations: steps of the optimizer.
        batch_size: images a step.
        learning_rate: the highest of the schedule.
        seed: of the order of the images and of their mirroring.
        workers: processes that read images ahead.
    """

    iterations: int
    batch_size: int = 16
    learning_rate: float = 2e-3
    seed: int = 0
    workers: int = 0


def measure_scale_losses(model: DLDSpotter, batches: Iterable[list[dict]], total: int | None = None) -> ScaleLosses:
    """Read the annotated words of all images at every scale, and as the teacher does.

    Args:
        model: with a teacher.
        batches: mapped records with "instances".
        total: how many batches there are, for the progress bar.

    Raises:
        ValueError: the model has no teacher, or reads the same whatever the scale.
    """
    if model.teacher is None:
        raise ValueError("MODEL.DLD.TEACHER is False, but the scales are compared with a teacher: set it to True.")
    if model.student.full_resolution_option:
        raise ValueError(
            f"with {model.student.full_resolution_option} a word in its true place is recognised alike at every scale: "
            "compare what the scales find (--by spotting)."
        )
    divergences, steps = [], []
    with inference_context(model), torch.no_grad():
        for batch in tqdm(batches, total=total, desc="readings", unit=" batches"):
            divergence, valid = _divergences(model, batch)
            divergences.append(divergence.cpu())
            steps.append(valid.cpu())
    return ScaleLosses(torch.cat(divergences), torch.cat(steps))


def _divergences(model: DLDSpotter, batch: list[dict]) -> tuple[Tensor, Tensor]:
    """(B, k) sums over an image's characters, and (B,) how many these are."""
    words = [w.to(model.device) for w in readable_words([record["instances"] for record in batch])]
    tokens, images = target_tokens(words), model.student.preprocess_image(batch)
    assert model.teacher is not None
    valid = tokens != PAD
    image_of_word = torch.cat([valid.new_full((len(w),), i, dtype=torch.long) for i, w in enumerate(words)])
    teacher_logits = model.teacher.read(images, words).logits
    columns = []
    for scale in model.scales:
        small = rescale_images(images, scale)
        logits = model.student.read(small, rescale_words(words, images, small, scale)).logits
        lost = recognition_divergence(teacher_logits, logits, valid)
        columns.append(lost.new_zeros(len(batch)).index_add_(0, image_of_word, lost))
    count = valid.sum(dim=1)
    return torch.stack(columns, dim=1), count.new_zeros(len(batch)).index_add_(0, image_of_word, count)


def fit_selector(
    selector: nn.Module, read_images: Sequence[dict], losses: Tensor, model: DLDSpotter, options: FitOptions
) -> None:
    """Train a selector in place to foresee what each scale loses (see ``regression.fitting_loss``).

    Minimising the expected loss of the choice itself, of which a training step of DLD has one draw, ends early instead:
    a scale with hardly any probability gets hardly any gradient, and of six scales two were ever chosen.

    Images are mirrored at random in both directions, which changes neither the size of their text nor how well it can
    be recognised, only whether it makes sense.

    Args:
        selector: that is trained.
        read_images: M mapped records or more; indexing may read a file.
        losses: (M, k), see ``ScaleLosses.values``; with a gamma of 0, ``choose_at`` can set any.
        model: makes images of the records.
        options: of the optimisation.
    """
    if isinstance(selector, BackboneSelector):
        _fit_linear(selector, read_images, losses, model, options.workers)
        return
    generator = torch.Generator().manual_seed(options.seed)
    optimizer = torch.optim.AdamW(selector.parameters(), lr=options.learning_rate, weight_decay=1e-4)
    steps = options.iterations
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, steps + 1, pct_start=0.1)
    losses = losses.to(model.device)
    batches = list(_shuffled_batches(len(losses), min(options.batch_size, len(losses)), steps, generator))
    loader = build_record_loader(read_images, batches, options.workers)
    selector.train()
    progress = tqdm(zip(batches, loader, strict=True), total=steps, desc="selector", unit=" iterations")
    for batch, records in progress:
        images = mirrored(model.student.preprocess_image(records), generator)
        loss = fitting_loss(selector(images), losses[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.detach():.3f}", refresh=False)
    selector.eval()


def _fit_linear(
    selector: BackboneSelector, read_images: Sequence[dict], losses: Tensor, model: DLDSpotter, workers: int
) -> None:
    """Fit a selector that is a linear function of what it sees of each image."""
    loader = build_record_loader(read_images, [[index] for index in range(len(losses))], workers)
    progress = tqdm(loader, total=len(losses), desc="selector", unit=" images")
    seen = torch.cat([selector.statistics(model.student.preprocess_image(records)) for records in progress])
    selector.fit(seen, -SHARPNESS * (losses - losses.mean(dim=1, keepdim=True)).to(seen.device))


def _shuffled_batches(total: int, size: int, count: int, generator: torch.Generator) -> Iterator[list[int]]:
    """So many batches from one random order of the images after another; what is left of an order is dropped."""
    order: list[int] = []
    for _ in range(count):
        if len(order) < size:
            order = torch.randperm(total, generator=generator).tolist()
        batch, order = order[:size], order[size:]
        yield batch


def mirrored(images: ImageList, generator: torch.Generator) -> ImageList:
    """The images of a batch, each of them mirrored or not in either direction, in their places of the padded batch."""
    turned = images.tensor.clone()
    for image, (height, width), flips in zip(
        turned, images.image_sizes, torch.randint(2, (len(turned), 2), generator=generator).tolist(), strict=True
    ):
        dims = [dim for dim, flip in zip((1, 2), flips, strict=True) if flip]
        image[:, :height, :width] = image[:, :height, :width].flip(dims)
    return ImageList(turned, images.image_sizes)


@torch.no_grad()
def chosen_scales(model: DLDSpotter, read_images: Sequence[dict], batch_size: int = 16) -> Tensor:
    """(M,) index of the scale that the model's selector chooses for each image."""
    assert model.selector is not None
    chosen = []
    with inference_context(model):
        for batch in torch.arange(len(read_images)).split(batch_size):
            images = model.student.preprocess_image([read_images[i] for i in batch])
            chosen.append(model.selector(images).argmax(dim=1).cpu())
    return torch.cat(chosen)


def describe_choice(chosen: Tensor, losses: ScaleLosses, gamma: float, costs: Tensor, scales: Sequence[float]) -> str:
    """How good a choice is, beside always the same scale, and the best scale of each image: lines of text.

    ``chosen`` has the index of the scale of each of M images.
    """
    values, rows = losses.values(gamma, costs), [("chosen", chosen)]
    rows += [(f"all at {scale:g}", torch.full_like(chosen, i)) for i, scale in enumerate(scales)]
    rows.append(("best of each", values.argmin(dim=1)))
    lines = [f"{len(chosen)} images, gamma {gamma:g}: lost, mean cost, lost + gamma cost; share of the scales"]
    for title, index in rows:
        total, cost = values.gather(1, index[:, None]).mean(), costs[index].mean()
        shares = [f"{scale:g}: {(index == i).float().mean():.0%}" for i, scale in enumerate(scales)]
        lines.append(
            f"{title:<13}{total - gamma * cost:8.4f}{cost:8.4f}{total:8.4f}"
            + (f"   {', '.join(shares)}" if not title.startswith("all") else "")
        )
    return "\n".join(lines)


def advise(chosen: Tensor, losses: ScaleLosses, gamma: float, costs: Tensor, scales: Sequence[float]) -> str | None:
    """What to do where the choice is not clearly better than always the same scale; None where it is.

    An advantage counts as clear when it is more than twice its standard error over the images. ``chosen`` has the index
    of the scale of each of M images.
    """
    values = losses.values(gamma, costs)
    single = int(values.mean(dim=0).argmin())
    gain = (values[:, single] - values.gather(1, chosen[:, None])[:, 0]).double()
    mean, spread = gain.mean().item(), gain.std(correction=0).item()
    images, same = len(gain), f"{scales[single]:g} for all"
    clear = abs(mean) > 2 * spread / math.sqrt(images)
    if mean > 0 and clear:
        return None
    needed = math.ceil((2 * spread / mean) ** 2) if mean else 0
    more = f"about {needed}" if images < needed < 100_000 else "many more"
    doubt = "" if clear else f" {images} held-out images are too few to be sure; {more} would tell."
    if mean > 0:
        return f"the choice loses {mean:.4f} less than {same}.{doubt}"
    if not spread and not mean:
        return f"the choice is {same}: MODEL.DLD.FIXED_SCALE {scales[single]:g} does the same without a selector."
    return (
        f"{same} loses {-mean:.4f} less than the choice: use MODEL.DLD.FIXED_SCALE {scales[single]:g}, or fit the "
        f"selector to more images.{doubt}"
    )
