"""Answers of a language model: many texts at a time, the likeliest token each time among those that the task allows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor

from servers.core.task import Task
from training_jobs.lora.chat import question
from training_jobs.lora.grammar import ENDED, AnswerGrammar, State, TokenGrammar

ROWS_AT_ONCE = {"cuda": 32, "cpu": 8}  # a prompt of 500 tokens and its answer take some 60 MB of a 3B model's cache


@dataclass(frozen=True)
class Words:
    """One answer."""

    text: str
    unforced: bool
    """Whether the model wrote all of it by itself: no token that it liked best was forbidden."""


class Answerer:
    """Answers with a model.

    Args:
        model: Any that generates; it is asked without gradients and without dropout.
        tokenizer: The model's.
        task: What is asked, and which answers there are.
        system: Message before each question, or None.
    """

    def __init__(self, model: Any, tokenizer: Any, task: Task, system: str | None) -> None:
        self._model, self._tokenizer, self._task, self._system = model, tokenizer, task, system
        grammar = AnswerGrammar(task)
        self._tokens = TokenGrammar(grammar, _pieces(tokenizer), tokenizer.eos_token_id)
        self._start = grammar.start
        self._generation = GenerationConfig(
            do_sample=False,
            use_cache=True,
            max_new_tokens=grammar.max_chars + 1,  # a token has a character at least, and one ends the answer
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )

    def answer(self, texts: Sequence[str]) -> list[Words]:
        """The answer to each text, in order."""
        chats = [question(self._task, text, self._system) for text in texts]
        prompts = [
            self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
            for chat in chats
        ]
        answers: dict[int, Words] = {}
        was_training = self._model.training
        self._model.eval()
        try:
            with torch.inference_mode():
                for rows in _batches(prompts, ROWS_AT_ONCE[self._model.device.type]):
                    answers |= zip(rows, self._generate([prompts[row] for row in rows]), strict=True)
        finally:
            self._model.train(was_training)
        return [answers[row] for row in range(len(texts))]

    def _generate(self, prompts: Sequence[list[int]]) -> list[Words]:
        batch = self._tokenizer.pad({"input_ids": list(prompts)}, padding_side="left", return_tensors="pt")
        batch = batch.to(self._model.device)
        length = batch["input_ids"].shape[1]
        constraint = _Constraint(self._tokens, self._start, len(prompts), length)
        written = self._model.generate(**batch, generation_config=self._generation, logits_processor=[constraint])
        texts = self._tokenizer.batch_decode(
            written[:, length:], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [Words(text, not forced) for text, forced in zip(texts, constraint.forced.tolist(), strict=True)]


class _Constraint(LogitsProcessor):
    """Leaves each row of a batch the tokens that may come next.

    Args:
        tokens: What may come after what.
        start: Where an answer begins.
        rows: In the batch.
        length: Of the prompts, in tokens, padding included.
    """

    def __init__(self, tokens: TokenGrammar, start: State, rows: int, length: int) -> None:
        self._tokens, self._length = tokens, length
        self._states = [start] * rows
        self.forced: torch.Tensor = torch.zeros(rows, dtype=torch.bool)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if input_ids.shape[1] > self._length:
            last = input_ids[:, -1].tolist()
            # A row that has ended is filled up with padding.
            self._states = [
                self._tokens.steps(state).get(token, ENDED) for state, token in zip(self._states, last, strict=True)
            ]
        allowed = [list(self._tokens.steps(state)) for state in self._states]
        where = torch.tensor(
            [[row, token] for row, tokens in enumerate(allowed) for token in tokens], device=scores.device
        ).unbind(1)
        left = torch.full_like(scores, -torch.inf)
        left[where] = scores[where]
        writing = torch.tensor([state != ENDED for state in self._states], device=scores.device)
        forced = writing & (scores.argmax(dim=-1) != left.argmax(dim=-1))
        self.forced = self.forced.to(scores.device) | forced
        return left


def _batches(prompts: Sequence[list[int]], rows: int) -> Iterator[list[int]]:
    """Rows of about the same length together, the longest first: where memory is short it shows at once."""
    order = sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), row))
    for begin in range(0, len(order), rows):
        yield order[begin : begin + rows]


def _pieces(tokenizer: Any) -> list[str]:
    """By token id the text that it adds, empty for special tokens."""
    # After another token: some tokenizers drop a space at the beginning of a text.
    anchor = tokenizer.encode("0", add_special_tokens=False)[-1]
    before = len(tokenizer.decode([anchor]))
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    texts = tokenizer.batch_decode(
        [[anchor, token] for token in range(len(tokenizer))], clean_up_tokenization_spaces=False
    )
    return ["" if token in special else text[before:] for token, text in enumerate(texts)]
