"""Templates look things up and do nothing else."""

import pytest

from service.core.errors import InvalidRequest
from service.core.graders.outcome import GradingFailed
from service.core.graders.specs import MAX_TEXT
from service.core.graders.templates import Observation, check_template

ITEM = {"name": "Ann", "tags": ["x", {"y": 2}], "n": 1.5, "ok": True, "none": None, "{{": "{{"}
OBSERVED = Observation('{"result": {"score": 4}, "list": [1, 2]}', ITEM)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain {text} }}", "plain {text} }}"),
        ("{{item.name}}!", "Ann!"),
        ("{{ item.tags[1].y }}/{{item.tags.0}}", "2/x"),
        ("{{item.n}} {{item.ok}} {{item.none}}", "1.5 true null"),
        ("{{item.tags}}", '["x", {"y": 2}]'),
        ("{{sample.output_json.result.score}}", "4"),
        ("{{sample.output_json.list[1]}}", "2"),
    ],
)
def test_a_look_up_gives_text_as_it_is_and_the_rest_as_json(template: str, text: str) -> None:
    check_template(template, param="p")
    assert OBSERVED.render(template) == text


def test_the_sample_is_rendered_verbatim_and_never_again() -> None:
    assert Observation("{{item.secret}}", {"secret": 1}).render("<{{sample.output_text}}>") == (
        "<{{item.secret}}>"
    )


@pytest.mark.parametrize(
    "template",
    ["{{item}}", "{{name}}", "{{item.a + 1}}", "{{sample.other}}", "{{}}", "{{item.__class__()}}"],
)
def test_what_is_no_look_up_is_refused_beforehand_and_flagged_in_a_run(template: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_template(template, param="grader.input")
    assert refused.value.param == "grader.input"
    with pytest.raises(GradingFailed) as caught:
        OBSERVED.render(template)
    assert caught.value.flags.invalid_variable_error


@pytest.mark.parametrize("path", ["item.missing", "item.tags[9]", "item.name.x", "item.name[0]"])
def test_what_is_not_there_is_flagged(path: str) -> None:
    with pytest.raises(GradingFailed) as caught:
        OBSERVED.render(f"{{{{{path}}}}}")
    assert caught.value.flags.invalid_variable_error


def test_a_sample_that_is_no_json_is_flagged_only_where_json_is_wanted() -> None:
    observed = Observation("not json")
    assert observed.render("{{sample.output_text}}") == "not json"
    with pytest.raises(GradingFailed) as caught:
        observed.render("{{sample.output_json.x}}")
    assert caught.value.flags.sample_parse_error


def test_a_template_cannot_blow_a_text_up() -> None:
    observed = Observation("x" * MAX_TEXT)
    with pytest.raises(GradingFailed) as caught:
        observed.render("{{sample.output_text}}" * 1000)
    assert caught.value.flags.other_error
