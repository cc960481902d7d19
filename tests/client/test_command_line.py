"""The command line against a service that answers from a table, over a real socket."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from bertscape.cli import main
from bertscape.results import read_surface, result_bytes, write_surface
from bertscape.values import Problem, ProblemType

BERTSCAPE = [sys.executable, "-m", "bertscape"]
FAILED_CHECK = {"checkpoint": "finetuned", "passed": False, "alpha": 1.0, "beta": 0.0}


def job_object(state: str = "completed", **more: Any) -> dict[str, Any]:
    job = {"id": "j1", "name": "bowl", "kind": "surface", "state": state, "created": "then"}
    return {**job, "points_total": 35, "points_done": 35, **more}


class ToldServer(ThreadingHTTPServer):
    """Answers what its test tells it, and keeps the headers that came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Any] = {}
        self.headers_seen: list[Any] = []

    def handle_error(self, *_: Any) -> None:
        """Clients that leave early are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: ToldServer

    def do_GET(self) -> None:
        answer = self.server.answers.get(f"{self.command} {self.path.partition('?')[0]}")
        self.server.headers_seen.append(self.headers)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if answer is None:
            answer = Problem(ProblemType.JOB_NOT_FOUND, "job 'j9' does not exist")
        status, kind, body = self.encoded(answer)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 (the name that http.server asks for)

    @staticmethod
    def encoded(answer: Any) -> tuple[int, str, bytes]:
        match answer:
            case bytes():
                return 200, "application/x-hdf5", answer
            case list():  # of job objects: an event stream
                text = "".join(f"event: job\ndata: {json.dumps(job)}\n\n" for job in answer)
                return 200, "text/event-stream", text.encode()
            case Problem():
                body = json.dumps(answer.to_json()).encode()
                return answer.type.status, "application/problem+json", body
            case _:
                return 200, "application/json", json.dumps(answer).encode()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ToldServer]:
    server = ToldServer()
    monkeypatch.setenv("BERTSCAPE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("BERTSCAPE_TOKEN", raising=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    values = {
        "kind": "curve",
        "model": {"pretrained": "a", "finetuned": "b"},
        "data": {"train": {"path": "t.tsv"}, "eval": {"path": "d.tsv"}, "text": "sentence"},
    }
    path.write_text(yaml.safe_dump(values))
    return path


# -------------------------------------------------------------------------------------- submit


def test_submit_prints_the_id(service: Any, spec: Path, capsys: Any) -> None:
    service.answers = {"POST /v1/jobs": job_object("queued")}
    assert main(["submit", str(spec), "--idempotency-key", "k", "--token", "t"]) == 0
    assert capsys.readouterr() == ("j1\n", "")
    assert service.headers_seen[0]["Idempotency-Key"] == "k"
    assert service.headers_seen[0]["Authorization"] == "Bearer t"


def test_submit_waits_and_fetches(
    service: Any, spec: Path, tmp_path: Path, capsys: Any, make_surface: Any
) -> None:
    service.answers = {
        "POST /v1/jobs": job_object("queued"),
        "GET /v1/jobs/j1/events": [job_object("running"), job_object("completed")],
        "GET /v1/jobs/j1/surface": result_bytes(make_surface()),
    }
    output = tmp_path / "a.h5"
    assert main(["submit", str(spec), "--wait", "-o", str(output)]) == 0
    assert capsys.readouterr() == ("j1 completed\n", "")  # no bar: standard error is no terminal
    assert read_surface(output).complete


def test_submit_of_a_job_that_fails_exits_1_and_keeps_what_there_is(
    service: Any, spec: Path, tmp_path: Path, capsys: Any, make_surface: Any
) -> None:
    problem = Problem(ProblemType.TILE_FAILED, "tile 3: out of memory")
    service.answers = {
        "POST /v1/jobs": job_object("queued"),
        "GET /v1/jobs/j1/events": [job_object("failed", error=problem.to_json())],
        "GET /v1/jobs/j1/surface": result_bytes(make_surface(holes=(4,))),
    }
    output = tmp_path / "a.h5"
    assert main(["submit", str(spec), "--wait", "-o", str(output), "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["state"] == "failed"
    assert err == "bertscape: job j1 failed: tile 3: out of memory\n"
    assert not read_surface(output).complete
    service.answers["GET /v1/jobs/j1/surface"] = Problem(ProblemType.SURFACE_NOT_READY, "none")
    assert main(["submit", str(spec), "--wait", "-o", str(output)]) == 1
    assert capsys.readouterr().err == err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.h5"], "-o: 'a.h5'; expected --wait as well: -o needs --wait"),
        (["--wait", "-o", "no/such/a.h5"], "expected a file name in an existing folder"),
        (["--wait", "-o", "."], "expected a file name in an existing folder"),
        (["--url", "elsewhere"], "url: 'elsewhere'; expected an address"),
    ],
)
def test_wrong_use_exits_2(spec: Path, capsys: Any, arguments: list[str], message: str) -> None:
    assert main(["submit", str(spec), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("bertscape: ")


# ------------------------------------------------------------------------------------- estimates

ESTIMATE: dict[str, Any] = {
    "kind": "curve",
    "points": 1600,
    "train": {"examples": 67349, "tokens": 899722, "measured_examples": 10000},
    "eval": {"examples": 872, "tokens": 21943, "measured_examples": 872},
    "flops": 2.5e15,
    "seconds": 754.0,
    "preparing_seconds": 20.0,
    "workers": 2,
    "device": "a CPU",
    "memory_per_worker": 3 << 29,
    "object_store": 1 << 28,
    "disk": 210_000,
    "unknown": {},
}


def test_a_dry_run_prints_what_a_job_would_take(service: Any, spec: Path, capsys: Any) -> None:
    service.answers = {"POST /v1/jobs:estimate": ESTIMATE}
    assert main(["submit", str(spec), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert dict(line.split(":", 1) for line in out.splitlines()) == {
        "kind": "        curve",
        "points": "      1,600",
        "train": "       67,349 examples, about 899,722 tokens, measured on 10,000 of 67,349 rows",
        "eval": "        872 examples, 21,943 tokens",
        "operations": "  2.5 PFLOP",
        "time": "        13 min on 2 workers (a CPU), 20 s of it to prepare",
        "memory": "      1.5 GiB for each worker, 256 MiB in each node's object store",
        "disk": "        205 KiB",
    }


def test_a_dry_run_says_why_something_is_not_known(service: Any, spec: Path, capsys: Any) -> None:
    unknown = {"seconds": "no worker is connected"}
    answer = {**ESTIMATE, "seconds": None, "preparing_seconds": None, "unknown": unknown}
    service.answers = {"POST /v1/jobs:estimate": answer}
    assert main(["submit", str(spec), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "time:        not known" in lines
    assert lines[-1] == "not known: seconds, because no worker is connected"


def test_a_dry_run_for_a_script(service: Any, spec: Path, capsys: Any) -> None:
    service.answers = {"POST /v1/jobs:estimate": ESTIMATE}
    assert main(["submit", str(spec), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ESTIMATE


def test_a_dry_run_of_what_would_be_refused_exits_2(service: Any, spec: Path, capsys: Any) -> None:
    service.answers = {
        "POST /v1/jobs:estimate": Problem(ProblemType.PATH_NOT_ALLOWED, "t.tsv leads out")
    }
    assert main(["submit", str(spec), "--dry-run"]) == 2
    assert capsys.readouterr() == ("", "bertscape: t.tsv leads out\n")


@pytest.mark.parametrize("options", [["--wait"], ["-o", "a.h5"], ["--idempotency-key", "k"]])
def test_a_dry_run_waits_for_nothing(spec: Path, capsys: Any, options: list[str]) -> None:
    assert main(["submit", str(spec), "--dry-run", *options]) == 2
    assert "with --dry-run, which submits nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [
        ({"seconds": 754.0, "taken": 790.0}, "13 min, and it took 13 min (5 % more)"),
        ({"seconds": 80.0, "taken": 60.0}, "80 s, and it took 60 s (25 % less)"),
        ({"seconds": 80.0, "taken": None}, "80 s"),
        ({"seconds": None, "taken": 60.0}, "none was known; it took 60 s"),
        ({"seconds": None, "taken": None}, ""),
        (None, ""),
    ],
)
def test_show_says_how_far_off_the_estimate_was(
    service: Any, capsys: Any, estimate: Any, shown: str
) -> None:
    service.answers = {"GET /v1/jobs/j1": job_object(estimate=estimate)}
    assert main(["show", "j1"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "estimate" in line]
    assert lines == ([f"estimate:  {shown}"] if shown else [])


def test_no_file_comes_of_a_fine_tuning(spec: Path, capsys: Any) -> None:
    values = yaml.safe_load(spec.read_text())
    job = {"kind": "finetune", "model": {"pretrained": "p"}, "data": values["data"]}
    spec.write_text(yaml.safe_dump(job))
    assert main(["submit", str(spec), "--wait", "-o", str(spec.with_suffix(".h5"))]) == 2
    assert "-o" in (err := capsys.readouterr().err)
    assert "expected no -o for a fine-tuning" in err


def test_each_wrong_key_has_a_line(spec: Path, capsys: Any) -> None:
    values = yaml.safe_load(spec.read_text())
    values["grid"] = {"x": [0, float("nan"), 3]}
    values["colour"] = "red"
    spec.write_text(yaml.safe_dump(values))
    assert main(["submit", str(spec)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("bertscape: ") for line in lines)
    assert any("grid.x: [0, nan, 3]" in line and "finite ends" in line for line in lines)
    assert any("colour: 'red'; expected no such key" in line for line in lines)


@pytest.mark.parametrize(
    "content", ["kind: [", "", "- a", '{"kind": "curve"}\n{', "kind: \x00", b"\xff\xfe\xff"]
)
def test_what_is_no_spec_exits_2(tmp_path: Path, capsys: Any, content: str | bytes) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["submit", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["submit", str(tmp_path / "none.yaml")]) == 2
    assert "expected a readable spec file" in capsys.readouterr().err


# ------------------------------------------------------------------------------ looking at jobs


def test_jobs(service: Any, capsys: Any) -> None:
    page = {"jobs": [job_object("running", points_done=3, name="two\nlines")], "next": None}
    service.answers = {"GET /v1/jobs": page}
    assert main(["jobs"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "STATE", "POINTS", "KIND", "NAME"]
    assert line.split() == ["j1", "running", "3/35", "surface", "two", "lines"]
    assert main(["jobs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["points_done"] == 3


def test_show(service: Any, capsys: Any) -> None:
    job = job_object("running", points_done=7, workers=2, eta_seconds=200.0)
    service.answers = {"GET /v1/jobs/j1": {**job, "self_checks": [FAILED_CHECK]}}
    assert main(["show", "j1"]) == 0
    out, err = capsys.readouterr()
    assert "running on 2 workers, about 3 min left" in out
    assert "7 of 35 (20 %)" in out
    assert "0 of 1 passed, 1 FAILED" in out
    assert err.startswith("bertscape: self-check FAILED at finetuned (α = 1, β = 0)")


WARNED = {"warnings": ["model.pretrained: 'module.' stands\nbefore every name", "second"]}
TOLD = (
    "bertscape: warning: model.pretrained: 'module.' stands before every name\n"
    "bertscape: warning: second\n"
)


def test_show_has_a_line_for_each_warning(service: Any, capsys: Any) -> None:
    service.answers = {"GET /v1/jobs/j1": job_object("running", **WARNED)}
    assert main(["show", "j1"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split(maxsplit=1) for line in out.splitlines() if line.startswith("warning:")]
    assert "".join(f"bertscape: warning: {text}\n" for _, text in lines) == TOLD
    assert err == ""
    assert main(["show", "j1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"][1] == "second"


def test_whoever_waits_or_fetches_is_told_of_warnings(
    service: Any, spec: Path, tmp_path: Path, capsys: Any, make_surface: Any
) -> None:
    done = job_object(**WARNED)
    surface = make_surface()
    found = surface.findings.model_copy(update={"warnings": tuple(WARNED["warnings"])})
    service.answers = {
        "POST /v1/jobs": done,
        "GET /v1/jobs/j1": done,
        "GET /v1/jobs/j1/events": [done],
        "GET /v1/jobs/j1/surface": result_bytes(replace(surface, findings=found)),
    }
    output = str(tmp_path / "a.h5")
    for command in (
        ["submit", str(spec), "--wait"],
        ["submit", str(spec), "--wait", "-o", output],
        ["watch", "j1"],
        ["watch", "j1", "--json"],
        ["fetch", "j1", "-o", output],
    ):
        assert main(command) == 0
        assert capsys.readouterr().err == TOLD


TRAINED = {
    "id": "j2",
    "kind": "finetune",
    "points_total": 1,
    "points_done": 1,
    "output": {
        "folder": "/outputs/j2",
        "checkpoints": [
            {"step": step, "path": f"/outputs/j2/checkpoint-{step}"} for step in (0, 5)
        ],
        "labels": ["no", "yes"],
        "log": [{"step": 5, "epoch": 1.0, "loss": "NaN", "eval_loss": 0.5, "eval_error": 0.125}],
    },
}


def test_what_a_training_left_behind_is_shown(service: Any, capsys: Any) -> None:
    done = {**job_object(), **TRAINED}
    service.answers = {
        "GET /v1/jobs": {"jobs": [done, job_object("failed")], "next": None},
        "GET /v1/jobs/j2": done,
        "GET /v1/jobs/j2/events": [done],
    }
    output = "dev accuracy 0.8750, 2 checkpoints in /outputs/j2"
    assert main(["jobs"]) == 0
    head, trained, _ = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "STATE", "POINTS", "KIND", "OUTPUT", "NAME"]
    assert output in trained
    assert main(["show", "j2"]) == 0
    assert output in capsys.readouterr().out
    assert main(["watch", "j2"]) == 0
    assert capsys.readouterr().out == f"j2 completed: {output}\n"


def test_the_numbers_of_a_training_are_shown_while_it_runs(service: Any, capsys: Any) -> None:
    latest = {"step": 40, "epoch": 0.5, "loss": 0.4567, "eval_loss": 0.5, "eval_error": 0.25}
    progress = {"stage": "fine-tuning", "done": 40, "total": 100, "latest": latest}
    running = {**job_object("running", workers=1, eta_seconds=40.0), **TRAINED, "points_done": 0}
    service.answers = {"GET /v1/jobs/j2": {**running, "output": None, "progress": progress}}
    assert main(["show", "j2"]) == 0
    shown = (
        "running: fine-tuning 40/100, loss 0.457, dev accuracy 0.7500, dev loss 0.5, "
        "about 40 s left"
    )
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize("command", ["show", "watch", "cancel"])
def test_a_job_that_does_not_exist_exits_2(service: Any, capsys: Any, command: str) -> None:
    assert main([command, "j9"]) == 2
    assert capsys.readouterr() == ("", "bertscape: job 'j9' does not exist\n")


def test_watch(service: Any, capsys: Any) -> None:
    states = [job_object("running"), job_object("completed", self_checks=[FAILED_CHECK])]
    service.answers = {"GET /v1/jobs/j1": job_object("queued"), "GET /v1/jobs/j1/events": states}
    assert main(["watch", "j1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["running", "completed"]
    assert "self-check FAILED" in err
    assert main(["watch", "j1"]) == 0
    assert capsys.readouterr().out == "j1 completed\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_watch_of_a_cancelled_job_exits_1(service: Any, options: list[str]) -> None:
    service.answers = {
        "GET /v1/jobs/j1": job_object("running"),
        "GET /v1/jobs/j1/events": [job_object("cancelled")],
    }
    assert main(["watch", "j1", *options]) == 1


def test_cancel(service: Any, capsys: Any) -> None:
    service.answers = {
        "GET /v1/jobs/j1": job_object("running"),
        "POST /v1/jobs/j1:cancel": job_object("cancelled"),
    }
    assert main(["cancel", "j1"]) == 0
    assert capsys.readouterr().out == "j1 cancelled\n"


# ---------------------------------------------------------------------------------------- fetch


def test_fetch_says_what_it_got(
    service: Any, tmp_path: Path, capsys: Any, make_surface: Any
) -> None:
    output = tmp_path / "a.h5"
    service.answers = {"GET /v1/jobs/j1": job_object()}
    surface = make_surface(holes=tuple(range(14)), passed=False)
    service.answers["GET /v1/jobs/j1/surface"] = result_bytes(surface)
    assert main(["fetch", "j1", "-o", str(output)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{output}: snapshot, 60 % of points\n"
    assert "self-check FAILED" in err
    service.answers["GET /v1/jobs/j1/surface"] = result_bytes(make_surface())
    assert main(["fetch", "j1", "-o", str(output), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"output": str(output), "complete": True, "share": 1.0}
    assert err == ""


def test_fetch_before_the_first_tile_exits_2(service: Any, tmp_path: Path, capsys: Any) -> None:
    service.answers = {
        "GET /v1/jobs/j1": job_object("running"),
        "GET /v1/jobs/j1/surface": Problem(ProblemType.SURFACE_NOT_READY, "no tile yet"),
    }
    assert main(["fetch", "j1", "-o", str(tmp_path / "a.h5")]) == 2
    assert capsys.readouterr().err == "bertscape: no tile yet\n"
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------- plot


def test_plot(tmp_path: Path, capsys: Any, make_surface: Any) -> None:
    write_surface(make_surface(passed=False), tmp_path / "a.h5")
    assert main(["plot", str(tmp_path / "a.h5"), "--value", "eval_loss"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'a.png'}\n"
    assert "self-check FAILED" in err
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", str(tmp_path / "a.h5"), "-o", str(tmp_path / "b.svg"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True


@pytest.mark.parametrize(
    ("file", "output", "message"),
    [
        ("none.h5", "a.png", "no such file"),
        ("text.h5", "a.png", "not a whole HDF5 file"),
        ("text.h5", "a.gif", ".png, .svg or .pdf"),
        ("text.h5", "no/a.png", "existing folder"),
    ],
)
def test_plot_of_what_cannot_be_drawn_exits_2(
    tmp_path: Path, capsys: Any, file: str, output: str, message: str
) -> None:
    (tmp_path / "text.h5").write_text("text")
    assert main(["plot", str(tmp_path / file), "-o", str(tmp_path / output)]) == 2
    assert message in capsys.readouterr().err


# ---------------------------------------------------------------------------- the whole program


def program(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BERTSCAPE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_help_names_every_command() -> None:
    text = program("--help").stdout
    names = ("serve", "submit", "run", "jobs", "show", "watch", "fetch", "cancel", "plot")
    for name in (*names, "finetune", "demo"):
        assert f"\n    {name} " in text
    assert "exit status: 0 done; 1 the job failed" in text


def test_version() -> None:
    from bertscape import __version__

    assert program("--version").stdout == f"bertscape {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["fly"], ["show"], ["show", "j1", "--fast"], ["fetch"]])
def test_unknown_arguments_exit_2(arguments: list[str]) -> None:
    result = program(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "usage: bertscape" in result.stderr


def test_no_service_exits_1() -> None:
    import socket

    with socket.socket() as free:  # bound and not listening: nothing else can answer there
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        result = program("jobs", "--url", url)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"bertscape: no answer from {url} after 6 tries")
    assert len(result.stderr.splitlines()) == 1


def test_a_reader_that_leaves_is_no_error(service: Any) -> None:
    jobs = [job_object(name="x" * 200) for _ in range(2000)]
    service.answers = {"GET /v1/jobs": {"jobs": jobs, "next": None}}
    with subprocess.Popen(
        [*BERTSCAPE, "jobs", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_ctrl_c_is_quiet(service: Any) -> None:
    asked = threading.Event()
    done = threading.Event()
    service.answers = {"GET /v1/jobs/j1": job_object("running")}
    usual = Handler.encoded

    class Slow(Handler):
        @staticmethod
        def encoded(answer: Any) -> tuple[int, str, bytes]:
            asked.set()
            done.wait(30)
            return usual(answer)

    service.RequestHandlerClass = Slow
    with subprocess.Popen(
        [*BERTSCAPE, "watch", "j1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    ) as process:
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        done.set()
    assert (process.returncode, out, err) == (130, b"", b"")
