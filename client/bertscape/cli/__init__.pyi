from .main import commands as commands, main as main
from .output_file import RESULT as RESULT, refuse_unwritable as refuse_unwritable
from .paper_command import write_paper as write_paper
from .text import (
    table as table,
    warn_of_failed_checks as warn_of_failed_checks,
    write_json as write_json,
    write_line as write_line,
)
