"""Text of unlike lengths, and a tokenizer of whole words that joins texts as a family does."""

from pathlib import Path

import numpy as np
from tests.workers.architectures.tiny_models import (
    CLASSES,
    END,
    FIRST,
    MASK,
    PAD,
    UNKNOWN,
    VOCABULARY,
    is_causal,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

MAX_LENGTH = 48

_SPECIAL = {"[PAD]": PAD, "[UNK]": UNKNOWN, "[CLS]": FIRST, "[SEP]": END, "[MASK]": MASK}
_WORDS = tuple(f"w{number}" for number in range(len(_SPECIAL), VOCABULARY))

# How families join one text or two; the numbers are token types.
_BERT = ("[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
_ROBERTA = ("[CLS] $A [SEP]", "[CLS] $A [SEP] [SEP] $B [SEP]")
_T5 = ("$A [SEP]", "$A [SEP] $B [SEP]")
_XLNET = ("$A:0 [SEP]:0 [CLS]:2", "$A:0 [SEP]:0 $B:1 [SEP]:1 [CLS]:2")
_DECODER = ("$A", "$A $B")

_LIKE_ROBERTA = (
    *(
        "bart",
        "mbart",
        "mvp",
        "plbart",
        "bigbird_pegasus",
        "camembert",
        "data2vec-text",
        "distilbert",
    ),
    *("esm", "esmc", "flaubert", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet"),
    *("layoutlmv3", "modernbert", "modernvbert", "roberta", "roberta-prelayernorm", "xlm"),
    *("xlm-roberta", "xlm-roberta-xl", "xmod"),
)
_TEMPLATES = {
    **dict.fromkeys(_LIKE_ROBERTA, _ROBERTA),
    **dict.fromkeys(("t5", "mt5", "umt5", "t5gemma", "t5gemma2"), _T5),
    "xlnet": _XLNET,
}


def save_tokenizer(folder: Path, model_type: str, *, like_bert: bool = False) -> None:
    """As the family's own: what it adds to a text, whether it gives token types, where it pads.

    With `like_bert` it joins texts as BERT's does, and so gives token types to any family.
    """
    default = _DECODER if is_causal(model_type) else _BERT
    single, pair = _BERT if like_bert else _TEMPLATES.get(model_type, default)
    tokenizer = Tokenizer(WordLevel(_SPECIAL | _numbered(), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, _SPECIAL[name]) for name in _SPECIAL]
    )
    types = ["token_type_ids"] if ":" in single else []
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        bos_token="[CLS]",
        sep_token="[SEP]",
        eos_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", *types, "attention_mask"],
        padding_side="left" if model_type == "xlnet" else "right",
    ).save_pretrained(folder)


def _numbered() -> dict[str, int]:
    return {word: len(_SPECIAL) + place for place, word in enumerate(_WORDS)}


def write_split(path: Path, examples: int, seed: int, *, spelled: tuple[str, ...] = ()) -> Path:
    """Pairs of texts of one to twenty words each, so that lengths are unlike; a few are cut.

    Every third first text begins with a special token of `spelled`, in turn.
    """
    generator = np.random.default_rng(seed)
    lines = ["first\tsecond\tlabel"]
    for example in range(examples):
        first, second = (_text(generator, most) for most in (26, 20))
        if spelled and example % 3 == 0:
            first = f"{spelled[example // 3 % len(spelled)]} {first}"
        lines.append(f"{first}\t{second}\t{example % CLASSES}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _text(generator: np.random.Generator, most: int) -> str:
    return " ".join(generator.choice(_WORDS, size=generator.integers(1, most + 1)))
