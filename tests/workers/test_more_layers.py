"""Weights with more layers than config.json has: seen in headers, however a family names them."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import make_inputs
from transformers import (
    BartConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    PreTrainedConfig,
    T5Config,
)

from bertscape.values import InvalidInput
from bertscape_workers.admission import admit, unused_tensors

SIZES: dict[str, Any] = {"vocab_size": 19, "pad_token_id": 0, "num_labels": 3}
CONFIGS: dict[str, PreTrainedConfig] = {
    "transformer.h": GPT2Config(n_embd=32, n_head=2, n_layer=2, n_positions=40, **SIZES),
    "model.layers": ModernBertConfig(
        hidden_size=32,
        num_attention_heads=2,
        num_hidden_layers=2,
        intermediate_size=48,
        max_position_embeddings=40,
        **SIZES,
    ),
}


def refuse(names: list[str], config: dict[str, Any]) -> None:
    unused_tensors.refuse_more_layers(names, config, "model.pretrained", "a folder")


@pytest.mark.parametrize("layers", CONFIGS)
def test_at_submission(tmp_path: Path, layers: str) -> None:
    inputs = make_inputs(tmp_path, CONFIGS[layers])
    admit(inputs.spec())
    file = inputs.pretrained / "model.safetensors"
    tensors = load_file(file)
    more = {
        name.replace(f"{layers}.1.", f"{layers}.2."): value.clone()
        for name, value in tensors.items()
        if name.startswith(f"{layers}.1.")
    }
    assert more
    save_file({**tensors, **more}, file)
    with pytest.raises(InvalidInput) as caught:
        admit(inputs.spec())
    assert caught.value.problem.key == "model.pretrained"
    assert f"holds more layers: {layers}.2." in caught.value.problem.detail


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("bert.encoder.layer.2.output.dense.bias", {"num_hidden_layers": 2}),
        ("encoder.layer.2.output.dense.bias", {"num_hidden_layers": 2}),
        ("distilbert.transformer.layer.2.ffn.lin1.bias", {"n_layers": 2}),
        ("transformer.layer.2.ff.layer_1.bias", {"n_layer": 2}),
        ("transformer.h.2.ln_1.bias", {"n_layer": 2}),
        ("h.2.ln_1.bias", {"num_layers": 2}),
        ("gpt_neox.layers.2.input_layernorm.bias", {"num_hidden_layers": 2}),
        ("layers.2.attn_norm.weight", {"num_hidden_layers": 2}),
        ("transformer.attentions.2.q_lin.bias", {"n_layers": 2}),
        ("transformer.blocks.2.norm_1.weight", {"n_layers": 2}),
        ("transformer.encoder.block.2.layer.0.SelfAttention.q.weight", {"num_layers": 2}),
        ("model.encoder.layers.2.fc1.bias", {"num_hidden_layers": 2}),
    ],
)
def test_as_families_name_them(name: str, config: dict[str, Any]) -> None:
    refuse([name.replace(".2.", ".1.", 1)], config)
    with pytest.raises(InvalidInput, match="holds more layers"):
        refuse([name], config)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("model.decoder.layers.2.fc1.bias", BartConfig(encoder_layers=2).to_dict()),
        ("decoder.layers.2.fc1.bias", {"num_hidden_layers": 2}),  # the count is the encoder's
        ("transformer.decoder.block.2.layer.0.layer_norm.weight", T5Config(num_layers=2).to_dict()),
        ("classifier.layers.2.weight", {"num_hidden_layers": 2}),
        ("canine.initial_char_encoder.layer.2.output.dense.bias", {"num_hidden_layers": 2}),
        ("mobilebert.encoder.layer.1.ffn.2.output.dense.bias", {"num_hidden_layers": 2}),
        ("model.vision_tower.encoder.layers.2.fc1.bias", {}),
        ("model.layers.2.eh_proj.weight", {"num_hidden_layers": 2, "num_nextn_predict_layers": 1}),
        ("model.layers.1.mlp.experts.2.up_proj.weight", LlamaConfig(num_hidden_layers=2).to_dict()),
    ],
)
def test_other_numbers_in_names_are_no_layers_of_the_encoder(
    name: str, config: dict[str, Any]
) -> None:
    refuse([name], config)
