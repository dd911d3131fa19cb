"""How well a spotter reads when the places of the words are given."""

import itertools
import logging
from collections.abc import Iterable, Sequence

import torch
from detectron2.evaluation import inference_context
from detectron2.utils import comm
from torch import nn

from dld_spotter.data.charset import PAD, Charset
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.evaluation.transcription import edit_similarity, fold_case, letters_and_digits

logger = logging.getLogger(__name__)


def evaluate_recognition(
    model: nn.Module,
    data_loader: Iterable[list[dict]],
    charset: Charset,
    protocol: Protocol | None = None,
    distributed: bool = True,
) -> dict[str, float]:
    """Read the annotated words in their ground-truth places, without augmentation or lexicon.

    Args:
        model: has ``read_words(batched_inputs)``, which gives (N, T) token ids for the N readable words of each image.
        data_loader: batches of records with ``image_id`` and ``instances`` (``gt_text``); an image that comes twice,
            as the padding of the last batch, counts once.
        charset: of the model.
        protocol: only its case rule matters.
        distributed: count over all processes.

    Returns:
        ``accuracy`` (share of words read without an error), ``one_minus_ned`` (1 - normalised edit distance) and
        ``accuracy_letters_digits`` (as word-recognition benchmarks count: letters and digits alone, without case; words
        without any do not count), 0.0 without such words; {} on other than the main process.
    """
    protocol = protocol or Protocol()
    model = getattr(model, "module", model)  # DistributedDataParallel passes on forward() alone
    pairs: dict[int | str, list[tuple[str, str]]] = {}
    with inference_context(model), torch.no_grad():
        for batch in data_loader:
            for record, tokens in zip(batch, model.read_words(batch), strict=True):
                pairs.setdefault(record["image_id"], word_pairs(record["instances"].gt_text, tokens, charset, record))
    parts = comm.gather(pairs, dst=0) if distributed else [pairs]
    if distributed and not comm.is_main_process():
        return {}
    merged = {image_id: words for part in reversed(parts) for image_id, words in part.items()}
    words = [tuple(fold_case(text, protocol) for text in pair) for pair in itertools.chain(*merged.values())]
    accuracy = _share_equal(words)
    similarity = edit_similarity(words)
    pairs_of_all = list(itertools.chain(*merged.values()))
    plain = [(letters_and_digits(truth), letters_and_digits(read)) for truth, read in pairs_of_all]
    of_letters = _share_equal([pair for pair in plain if pair[0]])
    logger.info(
        "Recognition in ground-truth places: accuracy %.4f, %.4f of letters and digits alone, 1 - normalised edit "
        "distance %.4f (%d words of %d images, %s)",
        *(accuracy, of_letters, similarity, len(words), len(merged)),
        "case-sensitive" if protocol.case_sensitive else "case-insensitive",
    )
    return {"accuracy": accuracy, "one_minus_ned": similarity, "accuracy_letters_digits": of_letters}


def _share_equal(pairs: Sequence[tuple[str, ...]]) -> float:
    return sum(truth == read for truth, read in pairs) / len(pairs) if pairs else 0.0


def word_pairs(truth: torch.Tensor, tokens: torch.Tensor, charset: Charset, record: dict) -> list[tuple[str, str]]:
    """(annotated, read) texts of an image's readable words, as the charset spells them.

    Args:
        truth: (W, T) token ids of the image's words; a row of padding is a word that is not read.
        tokens: (N, T) token ids that were read, one row for each readable word.
        record: of the image, for error messages.

    Raises:
        ValueError: there is not one row for each readable word.
    """
    readable = truth[truth[:, 0] != PAD]
    if len(readable) != len(tokens):
        raise ValueError(
            f"{record.get('file_name', record['image_id'])}: read_words gave {len(tokens)} words for "
            f"{len(readable)} readable ones; it should give one row for each, in their order."
        )
    return list(zip(charset.decode(readable), charset.decode(tokens), strict=True))
