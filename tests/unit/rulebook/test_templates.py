"""Templates: what they may say, and all ten of them for every platform and language."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.rulebook import loader, templates
from huntaze_pipeline.rulebook.preview import preview
from huntaze_pipeline.rulebook.references import SAMPLE
from huntaze_pipeline.rulebook.schema import Copy, Template
from huntaze_pipeline.rulebook.units import LOCALES
from huntaze_pipeline.store.people import PLATFORMS

BOOK = loader.load(Path(__file__).parents[3] / "rules")
NAMELESS = {**SAMPLE, "fan": {**SAMPLE["fan"], "name": None, "first_name": None}}
TEN = {
    "welcome_new_subscriber", "re_engagement", "vip_exclusive_offer", "content_teaser",
    "birthday_special", "milestone_celebration", "flash_sale", "content_poll",
    "behind_the_scenes", "referral_program",
}  # fmt: skip


def test_all_ten_are_there():
    assert set(BOOK.templates) == TEN


@pytest.mark.parametrize("name", sorted(TEN))
def test_it_reads_well_on_every_platform_in_every_language(name):
    template, seen = BOOK.templates[name], set()
    for platform in PLATFORMS:
        for locale in LOCALES:
            named = templates.render(template, platform, locale, SAMPLE, {})
            bare = templates.render(template, platform, locale, NAMELESS, {})
            assert named.locale == locale
            assert bool(named.subject) == (platform == "email")
            assert 20 < len(named.body) <= BOOK.policies.platform(platform).max_length
            for text in (named.body, bare.body, named.subject or "", bare.subject or ""):
                assert "None" not in text
                assert "{" not in text
            seen.add(named.body)
    assert len(seen) == len(PLATFORMS) * len(LOCALES)


@pytest.mark.parametrize("name", sorted(TEN))
def test_it_is_personal_and_says_what_it_is(name):
    template = BOOK.templates[name]
    assert template.category
    assert template.description
    bodies = [c.body for copies in template.content.values() for c in copies.values()]
    assert all("{{" in body for body in bodies)


def test_an_unknown_language_reads_english_and_a_regional_one_its_base():
    template = BOOK.templates["flash_sale"]
    assert templates.render(template, "email", "ja", SAMPLE, {}).locale == "en"
    assert templates.render(template, "email", "fr_CA", SAMPLE, {}).locale == "fr"
    assert templates.render(template, "email", None, SAMPLE, {}).locale == "en"


def test_variables_win_over_defaults_and_may_be_written_per_language():
    hook = {"en": "Hello", "fr": "Salut"}
    shown = preview(BOOK, "flash_sale", "onlyfans", "fr", {"hook": hook, "code": "ABC"})
    assert shown.body.startswith("Salut")
    assert "ABC" in shown.body


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ fan.frist_name }}", "did you mean 'first_name'?"),
        ("{{ cod }}", "did you mean 'code'?"),
        ("{{ fan.name | uper }}", "did you mean 'upper'?"),
        ("{% for x in fan.tags %}a{% endfor %}", "'for' is not part of templates"),
        ("{% set x = 1 %}", "is not part of templates"),
        ("{{ fan.name.__class__ }}", "nothing is known below"),
        ("{{ fan.__class__ }}", "unknown word"),
        ("{{ 'x' * 99999999 }}", "'mul' is not part of templates"),
        ("{{ 9 ** 9999999 }}", "'pow' is not part of templates"),
        ("{{ fan.name[0] }}", "is not part of templates"),
        ("{{ fan.attributes.__init__ }}", "nothing is known below"),
        ("{{ cycler() }}", "is not part of templates"),
        ("{% include 'x' %}", "is not part of templates"),
        ("{{ fan.name", "is no template"),
    ],
)
def test_what_a_template_cannot_say_is_named(text, told):
    assert any(told in fault.what for fault in templates.faults(text, ["code"]))


def test_a_word_without_a_value_is_an_error_and_not_an_empty_place():
    with pytest.raises(templates.RenderError, match="size"):
        templates.fill("Your size: {{ fan.attributes.size }}", SAMPLE)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("Hi {{ fan.name }}", "fan.name"),
        ("Hi {{ fan.name | upper }}", "fan.name"),
        ("{{ fan.attributes.items }}", "fan.attributes.items"),
        ("{{ fan.name or fan.first_name }}", "fan.first_name"),
        ("{% if fan.tips > 3 %}many{% endif %}", "fan.tips"),
    ],
)
def test_what_is_not_known_of_a_fan_is_named_and_never_sent_as_none(text, lacks):
    fan = {"name": None, "first_name": None, "tips": None, "attributes": {}}
    with pytest.raises(templates.RenderError):
        templates.fill(text, {"fan": fan})
    assert templates.needs(of(text)) == {lacks}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hi {{ fan.name or 'you' }}", "Hi you"),
        ("Hi {{ fan.name | default('you', true) | upper }}", "Hi YOU"),
        ("Hi{% if fan.name %} {{ fan.name }}{% endif %}!", "Hi!"),
        ("Size {{ fan.attributes.size or 'M' }}", "Size M"),
        ("{{ 'x' if fan.name else 'y' }}", "y"),
    ],
)
def test_a_word_with_a_fallback_needs_no_value(text, said):
    fan = {"name": None, "attributes": {}}
    assert templates.fill(text, {"fan": fan}) == said
    assert not templates.needs(of(text))


def of(text):
    content = {"email": {"en": Copy(body=text)}}
    return Template(name="T", category="x", platforms=("email",), content=content)


def test_a_fans_name_is_text_and_never_a_template_or_a_second_header():
    fan = {**SAMPLE["fan"], "first_name": "{{ 7 * 7 }}\r\nBcc: x@y.z"}
    template = Template(
        name="T", category="x", platforms=("email",),
        content={"email": {"en": Copy(subject="Hi {{ fan.first_name }}", body="{{ fan.id }}")}},
    )  # fmt: skip
    shown = templates.render(template, "email", "en", {**SAMPLE, "fan": fan}, {})
    assert shown.subject == "Hi {{ 7 * 7 }} Bcc: x@y.z"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}")))
def test_a_text_without_words_reads_as_it_would_among_others(text):
    mark = "\N{BLACK HEART SUIT}"
    among = templates.fill(f"{mark}{text}{mark}{{{{ fan.id }}}}", {"fan": {"id": "x"}})
    assert templates.fill(f"{mark}{text}{mark}", {}) == among.removesuffix("x")
    assert templates.fill(text, {}) == templates.fill(f"{mark}{text}{mark}", {})[1:-1].strip()
