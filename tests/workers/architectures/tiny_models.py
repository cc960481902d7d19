"""A tiny random classifier of any model type that transformers can classify sequences with.

The config of a model type is shrunk by the names that families give to their sizes. What these
names do not tell stands in one table, `OVERRIDES`.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)

MODEL_TYPES: tuple[str, ...] = tuple(sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES))

VOCABULARY = 100
POSITIONS = 64
CLASSES = 3
PAD, UNKNOWN, FIRST, END, MASK = range(5)  # the special tokens; words follow

_WIDTH, _HEADS, _INNER, _LAYERS = 32, 2, 48, 2
_SIZES: dict[str, int] = {
    **dict.fromkeys(
        (
            *("hidden_size", "d_model", "dim", "n_embd", "emb_dim", "embedding_size", "d_latents"),
            *("pooler_hidden_size", "word_embed_proj_dim", "cross_attention_hidden_size"),
            *("input_embedding_size", "output_embedding_size", "prediction_head_size"),
        ),
        _WIDTH,
    ),
    **dict.fromkeys(
        (
            *("num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads"),
            *("encoder_attention_heads", "decoder_attention_heads", "num_kv_heads"),
            *("num_self_attention_heads", "num_cross_attention_heads"),
            *("linear_num_key_heads", "linear_num_value_heads"),
        ),
        _HEADS,
    ),
    **dict.fromkeys(
        (
            *("head_dim", "d_head", "d_kv", "v_head_dim", "attention_head_size", "kv_channels"),
            *("linear_key_head_dim", "linear_value_head_dim", "qk_rope_head_dim"),
            *("qk_nope_head_dim", "kv_lora_rank", "q_lora_rank"),
        ),
        _WIDTH // _HEADS,
    ),
    **dict.fromkeys(
        (
            *("intermediate_size", "hidden_dim", "d_ff", "d_inner", "dff", "ffn_dim"),
            *("encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size", "feed_forward_size"),
            *("moe_intermediate_size", "shared_expert_intermediate_size"),
        ),
        _INNER,
    ),
    **dict.fromkeys(
        (
            *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers"),
            *("decoder_layers", "num_decoder_layers", "depth", "num_self_attends_per_block"),
        ),
        _LAYERS,
    ),
    **dict.fromkeys(
        ("max_position_embeddings", "n_positions", "max_seq_len"),
        POSITIONS,
    ),
    **dict.fromkeys(
        ("num_experts", "num_local_experts", "n_routed_experts"),
        4,
    ),
    **dict.fromkeys(
        ("num_experts_per_tok", "moe_topk", "n_group", "topk_group", "n_shared_experts"),
        1,
    ),
    # Small, so that it cuts some examples' attention and not others'.
    **dict.fromkeys(("sliding_window", "local_attention", "window_size"), 8),
    "qk_head_dim": _WIDTH,
    "vocab_size": VOCABULARY,
    "type_vocab_size": 4,
}
_TOKENS: dict[str, int] = {
    "pad_token_id": PAD,
    "bos_token_id": FIRST,
    "cls_token_id": FIRST,
    "eos_token_id": END,
    "sep_token_id": END,
    "decoder_start_token_id": PAD,
}

_OFF_WITHOUT = frozenset({"sliding_window", "embedding_size"})  # None means that there is none

_BOTH_ATTENTIONS = {"layer_types": ["linear_attention", "full_attention"]}
_SPARSE = {"block_size": 4, "num_random_blocks": 1}
_MAMBA = {"mamba_d_state": 4, "mamba_dt_rank": 4, "use_mamba_kernels": False}

# What the sizes' names do not tell, and what published checkpoints of a family set. Chunks, blocks
# and windows are so small that most examples are longer.
OVERRIDES: dict[str, dict[str, Any]] = {
    "axk2": {"index_topk": 8, "index_head_dim": 16, "index_n_heads": 2},
    "big_bird": _SPARSE,
    "bigbird_pegasus": _SPARSE,
    "canine": {"num_hash_buckets": 64, "local_transformer_stride": 8},
    "cohere_compass_text": {
        "layer_types": ["full_attention", "sliding_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1e4},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    },
    "convbert": {"conv_kernel_size": 5},
    "deberta": {
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["c2p", "p2c"],
    },
    "deberta-v2": {
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["c2p", "p2c"],
        "position_buckets": 8,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "conv_kernel_size": 3,
    },
    "doge": {"keep_window_size": 8},
    "esm": {
        "position_embedding_type": "rotary",
        "token_dropout": True,
        "mask_token_id": MASK,
        "emb_layer_norm_before": False,
    },
    "funnel": {"block_sizes": [1, 1]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 8},
    "jamba": {**_MAMBA, "attn_layer_period": 2, "attn_layer_offset": 1},
    "layoutlmv3": {
        "coordinate_size": 5,
        "shape_size": 6,
        "input_size": 32,
        "max_2d_position_embeddings": 64,
    },
    "layoutlm": {"max_2d_position_embeddings": 64},
    "lilt": {"hidden_size": 48, "channel_shrink_ratio": 2, "max_2d_position_embeddings": 64},
    "longformer": {"attention_window": 4},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 16},
    "markuplm": {
        "max_xpath_tag_unit_embeddings": 8,
        "max_xpath_subs_unit_embeddings": 8,
        "tag_pad_id": 7,
        "subs_pad_id": 7,
        "xpath_unit_hidden_size": 8,
        "max_depth": 4,
    },
    "minimax": {"block_size": 8},
    "mistral4": {
        "head_dim": 16,
        "qk_head_dim": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
    },
    "mobilebert": {"intra_bottleneck_size": 16},
    "mvp": {"prompt_length": 4, "prompt_mid_dim": 16},
    "nystromformer": {"num_landmarks": 4, "conv_kernel_size": 5},
    "perceiver": {"num_latents": 8},
    "qwen3_5": {"text_config": _BOTH_ATTENTIONS},
    "qwen3_5_text": _BOTH_ATTENTIONS,
    "qwen3_next": _BOTH_ATTENTIONS,
    "reformer": {
        "axial_pos_shape": (8, 8),
        "axial_pos_embds_dim": (16, 16),
        "attn_layers": ["local", "lsh"],
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "hash_seed": 0,
    },
    "roc_bert": {
        "pronunciation_embed_dim": 16,
        "pronunciation_vocab_size": VOCABULARY,
        "shape_embed_dim": 16,
        "shape_vocab_size": VOCABULARY,
    },
    "t5": {"decoder_start_token_id": PAD},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        **_MAMBA,
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "attention_hidden_size": 64,
        "attention_head_dim": 32,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"],
        "use_mamba_kernels": False,
        "mamba_d_state": 4,
        "mamba_headdim": 8,
        "chunk_size": 8,
        "attention_hidden_size": 64,
        "attention_head_dim": 32,
        "num_query_groups": 2,
        "adapter_rank": 4,
    },
}


def is_causal(model_type: str) -> bool:
    """Whether the family is made of decoders alone, which see what stands before and no more."""
    return (
        model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )


def tiny_config(model_type: str, **settings: Any) -> PreTrainedConfig:
    """The family's config with everything small; `settings` replace what the tables say."""
    given = _small(AutoConfig.for_model(model_type), OVERRIDES.get(model_type, {}))
    return AutoConfig.for_model(model_type, **{"num_labels": CLASSES, **given, **settings})


def _small(config: PreTrainedConfig, overrides: dict[str, Any]) -> dict[str, Any]:
    given = dict(overrides)
    for name, value in vars(config).items():
        if isinstance(value, PreTrainedConfig):
            given[name] = _small(value, overrides.get(name, {}))
        elif name in overrides:
            continue
        elif name in _SIZES and (value is not None or name not in _OFF_WITHOUT):
            given[name] = _SIZES[name]
        elif name in _TOKENS:
            given[name] = _TOKENS[name]
    return given


def save_checkpoints(
    config: PreTrainedConfig, folders: tuple[Path, Path, Path], *, padding_moves: bool = False
) -> None:
    """θ0 is random, θ1 and θ2 lie a small random step from it; each with a head of its own.

    Args:
        config: of all three.
        folders: of θ0, θ1 and θ2.
        padding_moves: whether the embedding of padding is random too.
    """
    for seed, folder in enumerate(folders):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(config)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            _move(model, torch.Generator().manual_seed(100), 0.1, padding_moves)
            if seed:
                _move(model, generator, 0.05, padding_moves)
        model.save_pretrained(folder)


def save_configs(model_type: str, folders: tuple[Path, Path, Path]) -> None:
    """Of a model that transformers cannot make here, with a tensor that is no part of it."""
    for folder in folders:
        AutoConfig.for_model(model_type, num_labels=CLASSES).save_pretrained(folder)
        save_file({"nothing": torch.zeros(1)}, folder / "model.safetensors")


def _move(
    model: torch.nn.Module, generator: torch.Generator, by: float, padding_moves: bool
) -> None:
    """As training does, which leaves the embedding of padding alone; or all."""
    padding = {
        table.weight: table.padding_idx
        for table in model.modules()
        if isinstance(table, torch.nn.Embedding) and table.padding_idx is not None
    }
    for parameter in model.parameters():
        step = by * torch.randn(parameter.shape, generator=generator)
        if parameter in padding and not padding_moves:
            step[padding[parameter]] = 0
        parameter.add_(step)
