from pathlib import Path

import pytest

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.settings import load
from huntaze_pipeline.warehouse import bots
from huntaze_pipeline.warehouse.raw import Bot


def written(folder: Path, text: str) -> Path:
    (folder / bots.FILE).write_text(text)
    return folder


def test_the_shipped_file_knows_scanners_and_lets_the_image_proxies_of_people_pass() -> None:
    words = [bot.value for bot in bots.load(load().rules_dir) if bot.rule == "agent"]
    scanner, proxy = "barracuda sentinel (ee)", "googleimageproxy (via ggpht.com)"
    assert any(word in scanner for word in words)
    assert not any(word in proxy for word in words)


def test_rules_become_rows(tmp_path: Path) -> None:
    text = "faster_than: {email: {clicked: 2s}}\nagents: [Spider]\nhoneypot: {path: /t, around: 1s}"
    assert bots.load(written(tmp_path, text)) == [
        Bot("faster_than", "email:clicked", 2_000_000), Bot("agent", "spider"),
        Bot("honeypot", "/t", 1_000_000),
    ]  # fmt: skip


def test_without_a_file_nothing_is_a_machine(tmp_path: Path) -> None:
    assert bots.load(tmp_path) == []
    assert bots.load(written(tmp_path, "# nothing\n")) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("agents: ['']", "in every agent"),
        ("agents: [é]", "ASCII"),
        ("faster_than: {fax: {opened: 1s}}", "no platform"),
        ("faster_than: {email: {opened: 1}}", "valid string"),
        ("faster_than: {email: {opened: soon}}", "no duration"),
        ("faster_than: {email: {sent: 1s}}", "opened"),
        ("honeypot: {path: unseen}", "write a path"),
        ("words: []", "not permitted"),
        ("a: [", "no"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ModelError) as told:
        bots.load(written(tmp_path, text))
    assert bots.FILE in told.value.problems[0].where
    assert what.lower() in f"{told.value}".lower() or "YAML" in str(told.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as told:
        bots.load(written(tmp_path, "agents: ['']\nhoneypot: {path: x}\nword: 1"))
    assert len(told.value.problems) == 3
