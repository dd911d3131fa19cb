"""A comparison from its plan to the results: configs, readings (from the cache as far as they are there), scores."""

import logging
from collections.abc import Mapping
from pathlib import Path

from comparison_figures import (
    NOT_MEASURED,
    NOT_TRAINED,
    Measured,
    SetResult,
    measured,
    score_set,
)
from comparison_plan import DataSet, Plan, Row
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from dld_spotter.analysis.readings import ReadingCache, Readings, measure_readings
from dld_spotter.config import load_cfg
from dld_spotter.data.text_json import register_custom, require_dataset
from dld_spotter.evaluation.ground_truth import GroundTruth
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, full_lexicon, load_lexicon
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.evaluation.text_evaluator import registered_truth

logger = logging.getLogger(__name__)


def compare(
    plan: Plan, cache: ReadingCache, limit: int | None = None, infer: bool = True, resamples: int = 1000, seed: int = 0
) -> list[SetResult]:
    """Measure what is not in the cache yet, and score everything.

    Args:
        plan: of the comparison.
        cache: of readings.
        limit: only so many of the first images of each data set; None for all.
        infer: whether rows may be measured; else only the cache is used.
        resamples: of the bootstrap.
        seed: likewise.

    Raises:
        FileNotFoundError, KeyError, ValueError: of a config, a data set or a checkpoint; before anything is measured as
            far as it can be known then.
    """
    configs = {(row.name, data_set.key): row_config(row, data_set) for row in plan.rows for data_set in plan.data_sets}
    for cfg in configs.values():
        register_custom(cfg)
    protocols = {}
    for data_set in plan.data_sets:
        require_dataset(data_set.name)
        protocols[data_set.key] = common_protocol(plan, {row: configs[row, data_set.key] for row, _ in configs})
    absent = {
        row.name for row in plan.rows if not Path(configs[row.name, plan.data_sets[0].key].MODEL.WEIGHTS).is_file()
    }
    for name in sorted(absent):
        logger.warning("%s: '%s' has no weights yet; it is reported as %s.", plan.source, name, NOT_TRAINED)

    results = []
    for data_set in plan.data_sets:
        truth, protocol = registered_truth(data_set.name), protocols[data_set.key]
        first = configs[plan.rows[0].name, data_set.key]
        lexicons = find_lexicons(data_set, truth, dict(first.TEST.TEXT.LEXICON_PATHS))
        found: dict[str, Measured | str] = {}
        for row in plan.rows:
            found[row.name] = NOT_TRAINED
            if row.name not in absent:
                readings = read_row(configs[row.name, data_set.key], row, data_set, cache, limit, infer)
                found[row.name] = measured(readings, truth, protocol, lexicons) if readings else NOT_MEASURED
        results.append(score_set(plan, data_set, protocol, found, resamples, seed))
    return results


def row_config(row: Row, data_set: DataSet) -> CfgNode:
    """The row's config at the data set's resolution. The row's opts come last, so that it may have its own."""
    weights = ["MODEL.WEIGHTS", row.weights] if row.weights else []
    least = [] if data_set.min_score is None else ["TEST.TEXT.SCORE_THRESHOLD", data_set.min_score]
    powers = [] if data_set.score_powers is None else ["TEST.TEXT.SCORE_POWERS", data_set.score_powers]
    return load_cfg(row.config, ["INPUT.MIN_SIZE_TEST", data_set.short_side, *least, *powers, *weights, *row.opts])


def common_protocol(plan: Plan, configs: Mapping[str, CfgNode]) -> Protocol:
    """The rules by which every row is scored, from the rows' configs for one data set.

    Raises:
        ValueError: two rows have different ones.
    """
    rules = {name: Protocol.from_cfg(cfg) for name, cfg in configs.items()}
    (first, protocol), *others = rules.items()
    for name, other in others:
        if other != protocol:
            raise ValueError(
                f"{plan.source}: '{first}' is scored with {protocol}, '{name}' with {other}; give both the same "
                "TEST.TEXT with 'opts'."
            )
    return protocol


def find_lexicons(
    data_set: DataSet, truth: GroundTruth, paths: Mapping[str, str]
) -> dict[str, Lexicon | ImageLexicons | None]:
    """No list ("none"), and the data set's, if it names one, as "lexicon".

    Args:
        data_set: that names a list.
        truth: its annotated words.
        paths: of lists, by name; they stand before those of the data set's metadata. Where there is none for "full", it
            is made of the annotated words.

    Raises:
        ValueError: there is no path for another name.
    """
    name, paths = data_set.lexicon, {**MetadataCatalog.get(data_set.name).get("lexicons", {}), **paths}
    if not name:
        return {"none": None}
    if name in paths:
        return {"none": None, "lexicon": load_lexicon(paths[name])}
    if name != "full":
        raise ValueError(
            f"data set '{data_set.name}' has no lexicon '{name}' (it has {', '.join(paths) or 'none'}); set its path "
            "with TEST.TEXT.LEXICON_PATHS in the first row's opts, or use 'full'."
        )
    return {"none": None, "lexicon": full_lexicon(truth.pair([]), truth.source)}


def read_row(
    cfg: CfgNode, row: Row, data_set: DataSet, cache: ReadingCache, limit: int | None, infer: bool
) -> Readings | None:
    """What a row reads in a data set: from the cache, else measured now if that is allowed; else None.

    ``cfg`` is the row's (``row_config``); ``limit`` is the number of images, None for all.
    """
    path = cache.path(cfg, data_set.name, limit, row.name)
    readings = cache.load(path)
    if readings is None and infer:
        logger.info("Measuring '%s' on %s", row.name, data_set.key)
        readings = measure_readings(cfg, data_set.name, limit)
        cache.save(path, readings)
    return readings
