"""A base of the real architecture that fits in a megabyte: Ministral 3's text model, with its eyes or without.

Its chat template behaves like the real one where that matters: it puts in a long system message with the day's date
where the chat has none.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Ministral3Config,
    Ministral3ForCausalLM,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralVisionConfig,
    PreTrainedTokenizerFast,
    set_seed,
)

from servers.core.disk import read_json, write_json

SPECIAL = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
SPREAD = 0.2  # of the weights: at the usual 0.02 a model so narrow could not be sure of anything
TEMPLATE = """\
{%- if messages[0]['role'] == 'system' -%}
{%- set system, loop_messages = messages[0]['content'], messages[1:] -%}
{%- else -%}
{%- set system, loop_messages = 'You are a tiny model. The date is ' + strftime_now('%Y-%m-%d') + '.', messages -%}
{%- endif -%}
{{ bos_token }}[SYSTEM_PROMPT]{{ system }}[/SYSTEM_PROMPT]
{%- for m in loop_messages -%}
{%- if m['role'] == 'user' -%}[INST]{{ m['content'] }}[/INST]
{%- else -%}{{ m['content'] }}{{ eos_token }}{%- endif -%}
{%- endfor -%}"""


@dataclass(frozen=True)
class Size:
    """Of a text model."""

    width: int = 64
    inner: int = 128
    layers: int = 2
    heads: int = 4
    head_width: int = 16
    vocabulary: int = 0
    """0 for what the tokenizer needs."""


TINY = Size()


def make_base(folder: Path, words: list[str], with_eyes: bool = True, size: Size = TINY) -> Path:
    """Write a random model, and a tokenizer that learned from these words; the same bytes every time."""
    set_seed(0)
    tokenizer = _tokenizer(words)
    text = Ministral3Config(
        vocab_size=max(len(tokenizer), size.vocabulary), hidden_size=size.width, intermediate_size=size.inner,
        num_hidden_layers=size.layers, num_attention_heads=size.heads, num_key_value_heads=max(1, size.heads // 4),
        head_dim=size.head_width, max_position_embeddings=1024, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, tie_word_embeddings=True,
        initializer_range=SPREAD,
    )  # fmt: skip
    model: torch.nn.Module
    if with_eyes:
        eyes = PixtralVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=56,
            patch_size=14,
        )
        model = Mistral3ForConditionalGeneration(
            Mistral3Config(vision_config=eyes, text_config=text, image_token_index=0, tie_word_embeddings=True)
        )
    else:
        model = Ministral3ForCausalLM(text)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def in_eight_bits(base: Path, folder: Path) -> Path:
    """A copy of a base whose text tower is FP8, one scale a matrix, as Mistral publishes it."""
    shutil.copytree(base, folder)
    weights = {}
    for name, weight in load_file(base / "model.safetensors").items():
        if name.startswith("language_model.") and name.endswith("proj.weight"):
            scale = weight.abs().max() / torch.finfo(torch.float8_e4m3fn).max
            weights[name] = (weight / scale).to(torch.float8_e4m3fn)
            weights[f"{name}_scale_inv"] = scale.to(torch.bfloat16)
            weights[name.replace("weight", "activation_scale")] = torch.tensor(1.0, dtype=torch.bfloat16)
        else:
            weights[name] = weight
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    quantised = {
        "quant_method": "fp8",
        "activation_scheme": "static",
        "weight_block_size": None,
        "modules_to_not_convert": ["model.vision_tower", "model.multi_modal_projector", "lm_head"],
    }
    write_json(folder / "config.json", read_json(folder / "config.json") | {"quantization_config": quantised})
    return folder


def _tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern=r" ", behavior="merged_with_next"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(words, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    fast.chat_template = TEMPLATE
    return fast
