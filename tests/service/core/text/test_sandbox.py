"""What a template can do: write text, and nothing else."""

from contextlib import suppress

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from service.core.errors import ChatTemplateError
from service.core.text.template import ChatTemplate

MESSAGES = [{"role": "user", "content": "hi"}]


def render(source: str) -> str:
    return ChatTemplate(source, {}).render(MESSAGES, add_generation_prompt=False)


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__globals__['json'] }}",
        "{{ lipsum.__globals__['os'] }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ ('{0.__class__.__init__.__globals__}').format(namespace()) }}",
        "{{ (messages | map(attribute='__class__') | list)[0].__subclasses__() }}",
        "{{ messages | attr('__class__') | attr('__mro__') | first | attr('x') }}",
        "{{ _steps._left.__class__.real }}{{ _steps.__init__ }}{{ _steps.take.__func__ }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
    ],
)
def test_nothing_of_the_process_is_within_reach(source: str) -> None:
    with suppress(ChatTemplateError):
        assert render(source) == ""  # an undefined value, which stands for nothing


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set s = 'x' * 99999 %}{% for a in s %}{% for b in s %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n }}{% endmacro %}{{ f(40) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in range(9999999999) %}{% endfor %}",
        "{{ 'x' * 9999999999 }}",
        "{{ 9999999999 * ['x'] }}",
        "{{ 9 ** 999999 }}",
    ],
)
def test_what_would_never_end_is_ended(source: str) -> None:
    with pytest.raises(ChatTemplateError, match="refuses these messages"):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in [1, 2, 3] %}{{ loop.index }}{{ loop.length }}{{ loop.last }}{% endfor %}",
        "{% for a in [1, 2] %}{{ loop.revindex }}{{ loop.nextitem }}{{ loop.depth }}{% endfor %}",
        "{% for a in [1, 2, 3] if a > 1 %}{{ a }}{% continue %}!{% endfor %}",
        "{% for a in [] %}{% else %}empty{% endfor %}",
        "{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}",
        "{% for a in [[1, [2]], [3]] recursive %}{{ loop(a) if a is iterable else a }}{% endfor %}",
        "{% for a in nothing %}{{ a }}{% endfor %}{% for c in 'xyz' %}{{ c }}{% endfor %}",
        "{{ 3 * 4 }}{{ 2 ** 10 }}{{ 'ab' * 3 }}{{ [1] * 2 }}",
    ],
)
def test_counting_changes_no_result(source: str) -> None:
    plain = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )

    assert render(source) == plain.from_string(source).render(messages=MESSAGES)


def test_generation_blocks_are_transparent() -> None:
    assert render("a{% generation %}b{{ messages[0].content }}{% endgeneration %}c") == "abhic"


def test_a_template_of_absurd_size_is_refused() -> None:
    with pytest.raises(ChatTemplateError, match="100001 characters"):
        ChatTemplate("x" * 100_001, {})
