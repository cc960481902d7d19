"""Sweep all model types into `docs/architectures.md`.

With model types it replaces their lines alone. With `--check` it writes nothing, and fails if a
verdict differs from the page's.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Sequence

import transformers
from tests.workers.architectures import page


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 if something is wrong, or differs from the page."""
    parser = argparse.ArgumentParser(prog=page.COMMAND, description=__doc__)
    parser.add_argument("types", nargs="*", help="model types; default: all")
    parser.add_argument("--check", action="store_true", help="compare with the page")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    cases = [case for case in page.all_cases() if not given.types or case.model_type in given.types]
    rows = _swept(cases, given.processes)
    wrong = [row for row in rows if row.verdict not in ("packed", "plain", "refused")]
    for row in wrong:
        print(f"{row.model_type} {row.remark}: {row.verdict} ({row.why})")
    if given.check:
        differs = page.changed(page.read(page.PAGE)[1], rows)
        print("\n".join(differs) or "every verdict is the page's")
        return int(bool(wrong or differs))
    page.write(page.PAGE, _joined(rows) if given.types else rows)
    return int(bool(wrong))


def _joined(rows: Sequence[page.Row]) -> list[page.Row]:
    """The page's rows, with these in their places."""
    version, before = page.read(page.PAGE)
    if version != transformers.__version__:
        sys.exit(f"the page was made by transformers {version}: sweep all types")
    known = {(row.model_type, row.remark): row for row in (*before, *rows)}
    return [known[case.name] for case in page.all_cases() if case.name in known]


def _swept(cases: Sequence[page.Case], processes: int) -> list[page.Row]:
    """In the cases' order; one after the other is told of as it comes."""
    rows = []
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for row in pool.imap(page.tried, cases):
            rows.append(row)
            told = f"{row.model_type} {row.remark}: {row.verdict} {row.deviation} {row.why}"
            print(f"{len(rows)}/{len(cases)} {told}", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
