"""A WordPiece tokenizer and a tiny BERT, both made from the corpus alone."""

from collections.abc import Sequence
from pathlib import Path

from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertTokenizer,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerBase,
    Trainer,
    set_seed,
)

from bertscape.values import Progress
from bertscape_workers.checkpoints import (
    Examples,
    quiet_arguments,
    quiet_transformers,
    silence,
    torch_threads,
)
from bertscape_workers.generated_language.data import MAX_LENGTH, DemoData
from bertscape_workers.generated_language.size import DEMO, Size

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def pretrain(
    folder: Path,
    data: DemoData,
    seed: int,
    progress: Progress | None = None,
    *,
    size: Size = DEMO,
    threads: int | None = 1,
) -> Path:
    """Train a tokenizer on the corpus, then a masked-language model; returns its folder.

    Args:
        folder: becomes the checkpoint: config, safetensors and tokenizer; without a pooler.
        data: gives the corpus; nothing with labels is read.
        seed: of the weights, the order of the sentences, the masks and dropout.
        progress: told of each optimizer step.
        size: of the model and its training.
        threads: of the CPU; results depend on their number, not on that of the cores.
    """
    corpus = data.corpus.read_text(encoding="utf-8").splitlines()
    with quiet_transformers(), torch_threads(threads):
        tokenizer = train_tokenizer(corpus)
        set_seed(seed)
        trainer = _trainer(folder, _model(tokenizer, size), tokenizer, corpus, seed, size)
        silence(trainer, "pre-training", progress)
        trainer.train()
        trainer.save_model(str(folder))
    return folder


def train_tokenizer(corpus: Sequence[str]) -> PreTrainedTokenizerBase:
    """A WordPiece tokenizer with every word of the corpus as one token, and single letters."""
    trained: PreTrainedTokenizerBase = BertTokenizer().train_new_from_iterator(  # type: ignore[no-untyped-call]
        corpus,
        vocab_size=10_000,  # enough to join pieces until no word is left in two
        show_progress=False,
    )
    # Which pieces training met on the way, and every piece's id, differ from one training to the
    # next on the same text: kept are those in use, in the order of the alphabet.
    used = set(trained.tokenize(" ".join(sorted({w for line in corpus for w in line.split()}))))
    letters = {piece for piece in trained.get_vocab() if len(piece.removeprefix("##")) == 1}
    pieces = [*_SPECIAL_TOKENS, *sorted(used | letters)]
    return BertTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)}, model_max_length=MAX_LENGTH
    )


def _model(tokenizer: PreTrainedTokenizerBase, size: Size) -> BertForMaskedLM:
    return BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=size.hidden,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=size.intermediate,
            max_position_embeddings=MAX_LENGTH,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _trainer(
    folder: Path,
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Sequence[str],
    seed: int,
    size: Size,
) -> Trainer:
    encoded = tokenizer(list(corpus), truncation=True, max_length=MAX_LENGTH)
    return Trainer(
        model=model,
        args=quiet_arguments(
            folder,
            num_train_epochs=size.pretraining_epochs,
            per_device_train_batch_size=size.pretraining_batch,
            learning_rate=size.pretraining_rate,
            warmup_steps=0.1,  # below 1 the Trainer reads a share of all steps
            weight_decay=0.01,
            seed=seed,
            save_strategy="no",
        ),
        train_dataset=Examples([{"input_ids": ids} for ids in encoded["input_ids"]]),
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=size.masked),
    )
