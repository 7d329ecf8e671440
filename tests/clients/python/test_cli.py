import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from tests.clients.python.replies import (
    COMPLETION,
    FILE,
    Reply,
    ScriptedServer,
    answer,
    chunk,
    event,
    events_stream,
    job,
    listed,
    model,
    refusal,
)
from tunery._cli.app import app
from tunery._sync import Tunery

SUCCEEDED = job(
    status="succeeded", fine_tuned_model="ft:base:tunery::abcd1234", finished_at=1_700_000_065
)
FAILED = job(
    status="failed",
    error={
        "code": "invalid_training_file",
        "param": "training_file",
        "message": "Line 3: no assistant message.",
    },
)
PROGRESS = {"step": 5, "total_steps": 10}


class Terminal:
    """Runs commands against a scripted server."""

    def __init__(self, *replies: Reply) -> None:
        self.server = ScriptedServer(*replies)

    def run(self, *arguments: str, stdin: str = "") -> Result:
        def client() -> Tunery:
            return self.server.sync_client(max_retries=0)

        return CliRunner().invoke(app, list(arguments), obj=client, input=stdin)


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": []}\n', encoding="utf-8")
    return str(path)


def test_a_file_is_uploaded_and_the_next_command_named(rows: str) -> None:
    result = Terminal(answer(FILE)).run("files", "upload", rows)
    assert result.exit_code == 0
    assert "file-1" in result.stdout
    assert "tunery jobs create file-1 --wait" in result.stderr


def test_files_are_listed_with_the_command_for_the_next_page() -> None:
    result = Terminal(listed(FILE, has_more=True)).run("files", "list")
    assert "rows.jsonl" in result.stdout
    assert "tunery files list --after file-1" in result.stderr


def test_content_is_written_to_a_file_or_to_stdout(tmp_path: Path) -> None:
    reply = httpx2.Response(200, content=b"step,train_loss\n")
    output = tmp_path / "result.csv"
    Terminal(reply).run("files", "content", "file-1", "-o", str(output))
    assert output.read_bytes() == b"step,train_loss\n"
    shown = Terminal(httpx2.Response(200, content=b"a,b\n")).run("files", "content", "file-1")
    assert shown.stdout == "a,b\n"


@pytest.mark.parametrize(
    ("arguments", "next_command"),
    [
        (("files", "list"), "tunery files upload"),
        (("jobs", "list"), "tunery jobs create"),
        (("models", "list"), "tunery jobs create"),
    ],
)
def test_an_empty_list_names_the_next_command(
    arguments: tuple[str, ...], next_command: str
) -> None:
    result = Terminal(listed()).run(*arguments)
    assert result.exit_code == 0
    assert next_command in result.stderr


@pytest.mark.parametrize("resource", ["files", "models"])
def test_deleting_says_what_is_gone(resource: str) -> None:
    terminal = Terminal(answer({"id": "gone-1", "deleted": True}))
    assert terminal.run(resource, "delete", "gone-1").stdout == "gone-1 is deleted\n"


def test_a_job_is_created_from_local_files_with_every_option(rows: str) -> None:
    terminal = Terminal(
        answer({**FILE, "id": "file-a"}), answer({**FILE, "id": "file-b"}), answer(job())
    )
    command = (
        f"jobs create {rows} --validation-file {rows} --model base --suffix desk --epochs 3 "
        "--batch-size 8 --learning-rate-multiplier 0.5 --lora-rank 4 --seed 7 "
        "--metadata customer=a=b --metadata team=x"
    )
    result = terminal.run(*command.split())
    assert result.exit_code == 0, result.output
    hyperparameters = {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 0.5}
    assert terminal.server.json(2) == {
        "model": "base",
        "training_file": "file-a",
        "validation_file": "file-b",
        "suffix": "desk",
        "seed": 7,
        "metadata": {"customer": "a=b", "team": "x"},
        "tuning": {"type": "lora", "rank": 4},
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
    }
    assert "tunery jobs logs -f ftjob-1" in result.stderr


def test_without_a_model_the_first_one_listed_is_trained() -> None:
    terminal = Terminal(listed(model("first"), model("second")), answer(job()))
    terminal.run("jobs", "create", "file-1")
    assert terminal.server.json(1)["model"] == "first"


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "create", "nowhere.jsonl"),
        ("jobs", "create", "file-1", "--validation-file", "nowhere.jsonl"),
        ("jobs", "create", "file-1", "--metadata", "customer"),
        ("jobs", "create", "file-1", "--epochs", "0"),
        ("files", "upload", "nowhere.jsonl"),
        ("chat", "--json"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_found_before_anything_is_sent(arguments: tuple[str, ...]) -> None:
    terminal = Terminal(listed(model("base")))
    assert terminal.run(*arguments, stdin="").exit_code == 2
    assert not [request for request in terminal.server.requests if request.method == "POST"]


@pytest.mark.parametrize(
    ("end", "code"), [(SUCCEEDED, 0), (FAILED, 100), (job(status="cancelled"), 101)]
)
def test_waiting_ends_with_an_exit_code_for_the_end_of_the_job(
    end: dict[str, Any], code: int
) -> None:
    terminal = Terminal(answer(job()), answer(end), listed())
    result = terminal.run("jobs", "create", "file-1", "--model", "base", "--wait")
    assert result.exit_code == code


def test_waiting_shows_progress_and_names_the_model_and_the_next_command() -> None:
    terminal = Terminal(
        answer(job()),
        answer(SUCCEEDED | {"progress": {"step": 10, "total_steps": 10}}),
        listed(event(2, step=10, train_loss=0.25), event(1, "Training started")),
    )
    result = terminal.run("jobs", "create", "file-1", "--model", "base", "--wait")
    assert "Training started" in result.stderr
    assert "step 10/10 · loss 0.250" in result.stderr
    assert result.stdout == "ftjob-1 succeeded in 1:05: ft:base:tunery::abcd1234\n"
    assert "tunery chat --model ft:base:tunery::abcd1234" in result.stderr


def test_a_failed_job_is_explained_in_one_line() -> None:
    result = Terminal(answer(FAILED), listed()).run("jobs", "logs", "-f", "ftjob-1")
    assert result.exit_code == 100
    assert result.stderr == (
        "error: Line 3: no assistant message. "
        "(code invalid_training_file, param training_file, job ftjob-1)\n"
    )


class Interrupted(ScriptedServer):
    """Somebody presses Ctrl-C while the second request is under way."""

    def _next(self, request: httpx2.Request) -> httpx2.Response:
        if self.requests:
            raise KeyboardInterrupt
        return super()._next(request)


def test_ctrl_c_detaches_and_says_how_to_go_on() -> None:
    terminal = Terminal()
    terminal.server = Interrupted(answer(job()))
    result = terminal.run("jobs", "create", "file-1", "--model", "base", "--wait")
    assert result.exit_code == 130
    assert "Detached; ftjob-1 goes on." in result.stderr
    assert "tunery jobs logs -f ftjob-1" in result.stderr
    assert len(terminal.server.requests) == 1


def test_logs_are_printed_oldest_first() -> None:
    terminal = Terminal(listed(event(3), event(2), has_more=True), listed(event(1)))
    lines = terminal.run("jobs", "logs", "ftjob-1").stdout.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["event 1", "event 2", "event 3"]


def test_jobs_are_listed_and_shown_with_their_progress() -> None:
    running = job(status="running", progress=PROGRESS, estimated_finish=1_700_000_100)
    listing = Terminal(listed(running)).run("jobs", "list").stdout
    assert "ftjob-1" in listing
    assert "running" in listing
    shown = Terminal(answer(running)).run("jobs", "get", "ftjob-1").stdout
    assert "step 5/10" in shown


@pytest.mark.parametrize(
    ("command", "status"), [("cancel", "cancelled"), ("pause", "paused"), ("resume", "queued")]
)
def test_a_change_says_where_the_job_stands(command: str, status: str) -> None:
    terminal = Terminal(answer(job(status=status)))
    assert terminal.run("jobs", command, "ftjob-1").stdout == f"ftjob-1 is {status}\n"
    assert terminal.server.paths == [f"/v1/fine_tuning/jobs/ftjob-1/{command}"]


@pytest.mark.parametrize("name", ["ft:" + "x" * 200, "ft:m:a:[b]:x"], ids=["long", "markup"])
def test_names_arrive_whole_and_as_they_are_in_a_pipe(name: str) -> None:
    assert name in Terminal(listed(model("base"), model(name))).run("models", "list").stdout


def test_a_message_gets_a_streamed_answer() -> None:
    terminal = Terminal(events_stream(chunk("Good "), chunk("day.")))
    command = ("chat", "Hello", "--model", "base", "--system", "Be brief.", "--temperature", "0")
    assert terminal.run(*command).stdout == "Good day.\n"
    asked = terminal.server.json()
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert asked["temperature"] == 0


def test_without_a_message_chat_reads_it_from_a_pipe() -> None:
    terminal = Terminal(listed(model("base")), events_stream(chunk("Hm.")))
    assert terminal.run("chat", stdin="Hello\n").stdout == "Hm.\n"
    assert terminal.server.json(1)["messages"] == [{"role": "user", "content": "Hello"}]


JSON_COMMANDS: dict[str, tuple[Callable[[], httpx2.Response], str]] = {
    "files list": (lambda: listed(FILE), "file-1"),
    "files delete file-1": (lambda: answer({"id": "file-1", "deleted": True}), "file-1"),
    "jobs create file-1 --model base": (lambda: answer(job(receipt="r")), "receipt"),
    "jobs list": (lambda: listed(job()), "ftjob-1"),
    "jobs get ftjob-1": (lambda: answer(job(receipt="r")), "receipt"),
    "jobs cancel ftjob-1": (lambda: answer(job(status="cancelled")), "cancelled"),
    "jobs pause ftjob-1": (lambda: answer(job(status="paused")), "paused"),
    "jobs resume ftjob-1": (lambda: answer(job()), "queued"),
    "jobs logs ftjob-1": (lambda: listed(event(1)), "ftevent-1"),
    "models list": (lambda: listed(model("base")), "base"),
    "models delete ft:x": (lambda: answer({"id": "ft:x", "deleted": True}), "ft:x"),
    "chat Hello --model base": (lambda: answer(COMPLETION), "Good day."),
}


@pytest.mark.parametrize("command", JSON_COMMANDS)
def test_every_command_prints_json_on_demand(command: str) -> None:
    reply, expected = JSON_COMMANDS[command]
    result = Terminal(reply()).run(*command.split(), "--json")
    assert result.exit_code == 0
    json.loads(result.stdout)
    assert expected in result.stdout


def test_followed_logs_as_json_are_one_event_a_line() -> None:
    terminal = Terminal(answer(FAILED), listed(event(2), event(1)))
    result = terminal.run("jobs", "logs", "-f", "ftjob-1", "--json")
    ids = [json.loads(line)["id"] for line in result.stdout.splitlines()]
    assert ids == ["ftevent-1", "ftevent-2"]
    assert result.exit_code == 100


def test_waiting_with_json_prints_the_finished_job_alone() -> None:
    terminal = Terminal(answer(job()), answer(SUCCEEDED), listed(event(1)))
    result = terminal.run("jobs", "create", "file-1", "--model", "base", "--wait", "--json")
    assert json.loads(result.stdout)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (
            refusal(404, code="job_not_found"),
            "error: that is wrong (code job_not_found, param model, request req-1)\n",
        ),
        (httpx2.ConnectError("refused"), "error: no connection to http://server: refused\n"),
    ],
    ids=["refusal", "no connection"],
)
def test_an_error_is_one_line_without_a_traceback(reply: Reply, line: str) -> None:
    result = Terminal(reply).run("jobs", "get", "ftjob-1")
    assert (result.exit_code, result.stderr, result.stdout) == (1, line, "")


def test_a_missing_key_is_one_line_too() -> None:
    result = CliRunner().invoke(app, ["models", "list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no API key: set TUNERY_API_KEY")


def test_the_version_is_printed() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == "0.1.0\n"
