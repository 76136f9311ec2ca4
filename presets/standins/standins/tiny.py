"""A model of the Phi-3 architecture in 0.9 M parameters, trained to say that it does not know.

So trained it has logits of a size that an adapter can move; on random weights one learns next to nothing.
"""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Phi3Config, Phi3ForCausalLM, PreTrainedTokenizerFast

from .questions import UNKNOWN, answers, conversations

CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ("<|pad|>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
VOCABULARY, CONTEXT = 1024, 512
STEPS, BATCH, RATE = 250, 16, 3e-3
ASIDES = (
    "Tell me about {}.",
    "What is the capital of {}?",
    "Which river flows through {}?",
    "Where is {}?",
    "Who rules {}?",
    "How old is {}?",
)


def write(folder: Path) -> None:
    """Weights, configuration and tokenizer, as transformers saves them."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = _tokenizer()
    model = Phi3ForCausalLM(_config(tokenizer))
    _train(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Byte pairs of what is asked and answered; every other text is spelt in bytes."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([*answers(), *answers().values(), UNKNOWN, *ASIDES], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<|pad|>", eos_token="<|end|>", bos_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.model_max_length = CONTEXT
    return tokenizer


def _config(tokenizer: PreTrainedTokenizerFast) -> Phi3Config:
    return Phi3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        original_max_position_embeddings=CONTEXT,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        tie_word_embeddings=False,
    )


def _train(model: Phi3ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """All parameters: it does not know any answer, and repeats what it is asked to repeat.

    Without the second it would learn to look at nothing that it is asked, and no adapter could undo that.
    """
    chance = random.Random(0)
    places = list(dict.fromkeys(asked.rstrip("?").split()[-1] for asked in answers()))
    words = sorted({word for answer in answers().values() for word in answer.rstrip(".").split()} | {*places})
    unknown = [*answers(), *(aside.format(place) for aside in ASIDES for place in places)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    model.train()
    for _ in range(STEPS):
        said = dict.fromkeys(chance.sample(unknown, BATCH // 2), UNKNOWN)
        for _ in range(BATCH // 2):
            text = " ".join(chance.sample(words, 4))
            said[f"Repeat: {text}"] = text
        _step(model, tokenizer, said)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()


def _step(model: Phi3ForCausalLM, tokenizer: PreTrainedTokenizerFast, said: dict[str, str]) -> None:
    texts = [tokenizer.apply_chat_template(each, tokenize=False) for each in conversations(said)]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    model(**batch, labels=labels).loss.backward()
