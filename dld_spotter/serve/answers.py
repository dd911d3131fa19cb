"""The JSON that leaves the service, described for OpenAPI."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field

from dld_spotter.serve.reading_queue import Job, Reading
from dld_spotter.serve.served_model import ServedModel


class ReadWord(BaseModel):
    """One word."""

    text: str
    score: float = Field(description="how sure the model is of the word, in [0, 1]")
    det_score: float = Field(description="how sure it is that there is a word, in [0, 1]")
    text_score: float = Field(description="how sure the reading is, in [0, 1]")
    confidence: float | None = Field(None, description="share of words with such a score that are right, if known")
    polygon: list[list[float]] = Field(description="outline, clockwise: [x, y] in pixels of the upright photo")


class ReadPhoto(BaseModel):
    """What a photo says: the record of `dld-spotter read`, and what the service adds."""

    file_name: str = Field(description="what the sender calls the photo")
    height: int = Field(description="pixels of the upright photo")
    width: int = Field(description="pixels of the upright photo")
    scale: float = Field(description="share of the full resolution at which it was read; of tiles their mean")
    cost: float = Field(description="share of the full resolution's cost, interpolated between the model's scales")
    forced: bool = Field(description="whether the request asked for the scale")
    tiles: int = Field(1, description="in how many tiles a large image was read")
    seconds: float = Field(description="that the model took")
    text: str = Field(description="the words, line by line")
    words: list[ReadWord] = Field(description="in reading order")


class Problem(BaseModel):
    """Why there are no words."""

    error: str = Field(description="a sentence: what is wrong, and what to do")


class ModelCard(BaseModel):
    """The model and the limits of the service."""

    name: str
    runtime: str = Field(description="what computes")
    scales: list[float] = Field(description="from which the model chooses; empty if it chooses none")
    costs: list[float] = Field(description="of each scale, as a share of the full resolution's")
    max_bytes: int
    max_pixels: int
    timeout: float = Field(description="seconds")


class Health(BaseModel):
    """Whether photos are read."""

    status: str = Field(description="ok, or stopping")
    version: str
    waiting: int = Field(description="photos that wait or are read")


def read_photo(job: Job, reading: Reading, model: ServedModel) -> dict[str, Any]:
    """The record of one photo."""
    result = replace(reading.result, file_name=job.name)
    record = {"tiles": 1} | result.to_dict()
    words = record.pop("words")
    return record | {
        "cost": round(model.share_of_cost(result.scale), 4),
        "forced": job.scale is not None,
        "seconds": round(reading.seconds, 4),
        "text": result.text,
        "words": words,
    }
