"""The demo's own world: a generated language, a BERT pre-trained on it, and two tasks in it."""

from bertscape_workers.generated_language.data import DemoData, write_demo_data
from bertscape_workers.generated_language.language import GeneratedLanguage, Grammar
from bertscape_workers.generated_language.pretraining import pretrain, train_tokenizer
from bertscape_workers.generated_language.runs import FourRuns, TaskRuns, fine_tune_four
from bertscape_workers.generated_language.size import DEMO, SMALL, Size

__all__ = [
    "DEMO",
    "SMALL",
    "DemoData",
    "FourRuns",
    "GeneratedLanguage",
    "Grammar",
    "Size",
    "TaskRuns",
    "fine_tune_four",
    "pretrain",
    "train_tokenizer",
    "write_demo_data",
]
