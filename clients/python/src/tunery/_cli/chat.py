"""`tunery chat`"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import typer

from tunery._calls.chat import ChatRequest
from tunery._cli.options import AsJson, client_of, default_model
from tunery._cli.output import complain, hint, one_line, print_json
from tunery._exceptions import APIError
from tunery._sync import Tunery


@dataclass
class Conversation:
    """What was said so far, and how to ask for more."""

    client: Tunery
    options: ChatRequest
    messages: list[Mapping[str, str]] = field(default_factory=list)

    def request(self, message: str) -> ChatRequest:
        """What to send for the next answer."""
        said = {"role": "user", "content": message}
        return ChatRequest(**{**self.options, "messages": [*self.messages, said]})

    def say(self, message: str) -> None:
        """Print the answer as it comes; a message that got no whole answer is not remembered."""
        answer = ""
        with self.client.chat.completions.stream(**self.request(message)) as chunks:
            for chunk in chunks:
                answer += chunk.text
                typer.echo(chunk.text, nl=False)
        typer.echo()
        self.messages += [
            {"role": "user", "content": message},
            {"role": "assistant", "content": answer},
        ]


def chat(
    ctx: typer.Context,
    message: Annotated[
        str | None, typer.Argument(help="What to say. Without it: what stdin says, or a dialogue.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model that answers, else the server's default base.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="0 always takes the likeliest token.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model, once or in a dialogue; the answer is printed as it comes."""
    message = message if message is not None else _piped_message()
    if message is None and as_json:
        raise typer.BadParameter("--json needs a message", param_hint="--json")
    client = client_of(ctx)
    options = ChatRequest(model=model or default_model(client), messages=[])
    if temperature is not None:
        options["temperature"] = temperature
    if max_tokens is not None:
        options["max_completion_tokens"] = max_tokens
    if seed is not None:
        options["seed"] = seed
    conversation = Conversation(client, options)
    if system is not None:
        conversation.messages.append({"role": "system", "content": system})
    if message is None:
        dialogue(conversation)
    elif as_json:
        print_json(client.chat.completions.create(**conversation.request(message)))
    else:
        conversation.say(message)


def _piped_message() -> str | None:
    """What stdin says, or None where a person sits at it."""
    if sys.stdin.isatty():
        return None
    message = sys.stdin.read().strip()
    if not message:
        raise typer.BadParameter("stdin is empty and no message was given")
    return message


def dialogue(conversation: Conversation) -> None:
    """Read message after message from a person until the end of input."""
    hint(f"Talking to {conversation.options['model']}. Leave with Ctrl-D.")
    while True:
        try:
            message = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            typer.echo()
            return
        if not message:
            continue
        try:
            conversation.say(message)
        except APIError as error:
            complain(one_line(error))
        except KeyboardInterrupt:
            hint("\nAnswer stopped.")
