"""The commands of this package; importable without what they need, and fast: for `--help`."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from bertscape.values import DONE, Command


def _add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    from bertscape.spec import Limits
    from bertscape.values import DEFAULT_TILE_POINTS
    from bertscape_service.configuration import DEFAULT_STATE_DIRECTORY, STATE_DIRECTORY_VARIABLE

    _add_network_arguments(parser.add_argument_group("network and access"))
    _add_cluster_arguments(parser.add_argument_group("cluster and workers"))
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="where jobs and surfaces are kept "
        f"(default: ${STATE_DIRECTORY_VARIABLE}, else {DEFAULT_STATE_DIRECTORY})",
    )
    parser.add_argument(
        "--wait-for-state",
        type=float,
        metavar="SECONDS",
        default=0,
        help="how long to wait while another service uses that folder (default: %(default)s)",
    )
    parser.add_argument(
        "--tile-points",
        type=int,
        metavar="N",
        default=DEFAULT_TILE_POINTS,
        help="grid points that a worker evaluates in one call (default: %(default)s)",
    )
    parser.add_argument(
        "--max-points",
        type=int,
        metavar="N",
        default=Limits().points,
        help="most grid points of one job (default: %(default)s)",
    )
    parser.add_argument(
        "--end-with-input",
        action="store_const",
        const=True,
        help="stop when standard input ends (for programs that start a service)",
    )


def _add_network_arguments(group: argparse._ArgumentGroup) -> None:
    from bertscape.values import TOKEN_VARIABLE
    from bertscape_service.configuration import ALLOWED_ROOTS_VARIABLE, DEFAULT_HOST, DEFAULT_PORT

    group.add_argument(
        "--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s)"
    )
    group.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help="port to listen on; 0 is any free one (default: %(default)s)",
    )
    group.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with the bearer token that clients must send; required beyond loopback "
        f"(default: ${TOKEN_VARIABLE}, else none)",
    )
    group.add_argument(
        "--allowed-host",
        action="append",
        metavar="NAME",
        help="a further name allowed in the Host header; may be repeated",
    )
    group.add_argument(
        "--allow-root",
        type=Path,
        action="append",
        metavar="DIR",
        help="a folder that jobs may read from; may be repeated "
        f"(default: ${ALLOWED_ROOTS_VARIABLE}, else the working directory)",
    )


def _add_cluster_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="the Ray cluster to join, or auto (default: an embedded Ray)",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="number of workers (default: one per GPU, else one per core, as memory allows)",
    )
    group.add_argument(
        "--cpus-per-worker",
        type=int,
        metavar="N",
        default=1,
        help="cores, and threads, of each worker (default: %(default)s)",
    )


def _serve(options: argparse.Namespace) -> int:
    from bertscape_service.configuration import Settings

    settings = Settings.of(options, os.environ)
    if options.end_with_input:
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    from bertscape_service.running.serve import serve

    serve(settings)
    return DONE


def _stop_at_end_of_input() -> None:
    # Not through sys.stdin: a thread that waits in its buffer keeps the interpreter from ending.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


SERVE = Command(
    name="serve",
    help="run the service until Ctrl-C",
    add_arguments=_add_serve_arguments,
    run=_serve,
    extra="service",
    requires=("fastapi", "uvicorn", "ray"),
)


# --- demo ---------------------------------------------------------------------------------------


def _add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="the output folder (default: demo, or with --paper demo-paper)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the language and of all training (default: 0)"
    )
    parser.add_argument(
        "--paper",
        action="store_true",
        help="run the whole study of the paper, like `bertscape paper DIR/study.yaml`; "
        "run it again to resume",
    )


def _demo(options: argparse.Namespace) -> int:
    folder: Path = options.output or Path("demo-paper" if options.paper else "demo")
    if options.paper:
        from bertscape_service.running.demo_study import run_demo_study

        sys.stdout.write(f"{run_demo_study(folder, options.seed)}\n")
        return DONE
    from bertscape_service.running.demo import FIGURE, FILES, report, run_demo

    rows = run_demo(folder, options.seed)
    made = ", ".join(str(folder / name) for name in (*FILES.values(), FIGURE))
    sys.stdout.write(f"{report(rows)}\n\n{made}\n")
    return DONE


DEMO = Command(
    name="demo",
    help="draw the landscapes of a small generated language, without downloads",
    add_arguments=_add_demo_arguments,
    run=_demo,
    extra="all",
    requires=("fastapi", "uvicorn", "ray", "torch", "transformers", "jinja2", "matplotlib"),
)
