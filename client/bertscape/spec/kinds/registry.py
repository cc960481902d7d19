"""The kinds of job there are. A further kind has its own module, and a line here."""

from bertscape.spec.kinds.finetune import FinetuneSpec
from bertscape.spec.kinds.job import JobSpec
from bertscape.spec.kinds.landscape import LandscapeSpec
from bertscape.spec.kinds.rollback import RollbackSpec

KINDS: dict[str, type[JobSpec]] = {
    "surface": LandscapeSpec,
    "curve": LandscapeSpec,
    "rollback": RollbackSpec,
    "finetune": FinetuneSpec,
}
