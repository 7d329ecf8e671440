import io

import pytest

from tests.clients.python.replies import ScriptedServer, chunk, events_stream, refusal
from tunery._cli.chat import Conversation, dialogue


def talk(server: ScriptedServer, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    client = server.sync_client(max_retries=0)
    dialogue(Conversation(client, {"model": "base", "messages": []}))


def test_a_dialogue_remembers_what_was_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ScriptedServer(events_stream(chunk("Good day.")), events_stream(chunk("Bye.")))
    talk(server, "Hello\n\nGoodbye\n", monkeypatch)
    said = [message["content"] for message in server.json(1)["messages"]]
    assert said == ["Hello", "Good day.", "Goodbye"]
    assert "Good day.\n" in capsys.readouterr().out


def test_a_failed_answer_ends_neither_the_dialogue_nor_stays_in_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ScriptedServer(refusal(400), events_stream(chunk("Good day.")))
    talk(server, "Bad\nHello\n", monkeypatch)
    assert [message["content"] for message in server.json(1)["messages"]] == ["Hello"]
    assert "error: that is wrong (code invalid_value" in capsys.readouterr().err
