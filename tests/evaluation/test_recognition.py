"""Reading in ground-truth places, with a model that reads what the test says."""

import pytest
import torch
from detectron2.structures import Instances
from torch import nn

from dld_spotter.data.charset import Charset
from dld_spotter.evaluation import evaluate_recognition
from dld_spotter.evaluation.protocol import Protocol

CHARSET = Charset.load("printable95")


class Reader(nn.Module):
    """Answers with the words it was given for each image, in evaluation mode only."""

    def __init__(self, answers, charset=CHARSET):
        super().__init__()
        self.answers, self.charset = answers, charset

    def read_words(self, batched_inputs):
        assert not self.training and not torch.is_grad_enabled()
        return [self.charset.encode_rows(self.answers[x["image_id"]]) for x in batched_inputs]


def record(image_id, texts, charset=CHARSET):
    instances = Instances((8, 8))
    instances.gt_text = charset.encode_rows(texts)
    return {"image_id": image_id, "file_name": f"img_{image_id}.jpg", "instances": instances}


LOADER = [
    [record(1, ["Exit", None, "Sale"]), record(2, [])],
    [record(3, ["Open"]), record(1, ["Exit", None, "Sale"])],  # the first image again
]
ANSWERS = {1: ["EXIT", "5ale"], 2: [], 3: ["Open"]}


def test_accuracy_and_edit_distance():
    reader = Reader(ANSWERS).train()
    assert evaluate_recognition(reader, LOADER, CHARSET) == pytest.approx(
        {"accuracy": 2 / 3, "one_minus_ned": 1 - (1 / 4) / 3, "accuracy_letters_digits": 2 / 3}
    )
    assert reader.training
    sensitive = evaluate_recognition(reader, LOADER, CHARSET, Protocol(case_sensitive=True))
    assert sensitive == pytest.approx(
        {"accuracy": 1 / 3, "one_minus_ned": 1 - (3 / 4 + 1 / 4) / 3, "accuracy_letters_digits": 2 / 3}
    )


def test_punctuation_and_case_may_be_left_out():
    truths, reads = ["It's", "&", "$5.00", "Café!"], ["its", "8", "5.0O", "CAFÉ"]
    latin = Charset.load("latin")
    figures = evaluate_recognition(Reader({1: reads}, latin), [[record(1, truths, latin)]], latin)
    assert figures["accuracy"] == 0 and figures["accuracy_letters_digits"] == pytest.approx(2 / 3)


def test_no_readable_words():
    results = evaluate_recognition(Reader({2: []}), [[record(2, [])]], CHARSET)
    assert results == evaluate_recognition(Reader({}), [], CHARSET) == dict.fromkeys(results, 0.0)


def test_a_model_that_leaves_words_out():
    with pytest.raises(ValueError, match="img_1.jpg: read_words gave 1 words for 2 readable ones"):
        evaluate_recognition(Reader(ANSWERS | {1: ["Exit"]}), LOADER, CHARSET)
