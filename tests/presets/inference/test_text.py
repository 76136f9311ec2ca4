"""Text out of tokens, piece by piece, and draws by noise."""

import pytest
import torch
from inference_server.drawing import _gumbel
from inference_server.text import Text
from transformers import AutoTokenizer

TEXTS = [
    "The capital of Freedonia is Marxville.",
    "naïve café — 東京 🦊🦊",
    "  two  spaces\n\tand a tab ",
    "",
    "🦊",
]


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return AutoTokenizer.from_pretrained(tiny)


def pieces(tokenizer, text, size, stops=()):
    ids = tokenizer(text)["input_ids"]
    made = Text(tokenizer, stops)
    said = []
    for at in range(0, len(ids), size):
        said.append(made.add(ids[at : at + size]))
        if made.stopped:
            break
    return [*said, made.end()]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_text_in_whole_characters(tokenizer, text, size):
    said = pieces(tokenizer, text, size)
    assert "".join(said) == text
    assert not any("\ufffd" in each for each in said)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "stops", "left"),
    [
        ("one two three", ["two"], "one "),
        ("one two three", ["three", "two"], "one "),
        ("one two three", ["four"], "one two three"),
        ("one two thr", ["three"], "one two thr"),
        ("aab", ["ab"], "a"),
        ("aaab", ["aab"], "a"),
        ("stop", ["stop"], ""),
        ("東京都", ["京"], "東"),
    ],
)
def test_nothing_of_a_stop_string_is_shown(tokenizer, size, text, stops, left):
    assert "".join(pieces(tokenizer, text, size, stops)) == left


def test_half_a_character_is_shown_at_the_end_alone(tokenizer):
    ids = tokenizer("🦊")["input_ids"][:-1]
    made = Text(tokenizer)
    assert made.add(ids) == ""
    assert made.end() == "\ufffd"


def test_noise_draws_by_the_scores_probabilities():
    scores = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    drawn = (scores + _gumbel(torch.arange(1, 40_001), 4)).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.01, rtol=0)
