"""What the documentation says, held against the code: commands, links, rules, mappings, tables."""

import re
import shutil
from pathlib import Path

import pytest
import sqlglot
import typer
import yaml
from sqlglot import exp

from huntaze_pipeline import cli
from huntaze_pipeline.errors import ImportFileError
from huntaze_pipeline.events import mapping
from huntaze_pipeline.events.envelope import NAMES
from huntaze_pipeline.events.parts import Part
from huntaze_pipeline.rehearsal import trial
from huntaze_pipeline.rulebook import fields, language, loader
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.outflow import PUBLIC
from huntaze_pipeline.warehouse import models, raw

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "rules/README.md"]
RULE_PAGES = ("README.md", "docs/rules.md", "rules/README.md")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PLACE = re.compile(r"# (rules/(?:segments|automations|campaigns|templates|tests)/\w+\.yaml)\n")


def text(page):
    return (ROOT / page).read_text("utf-8")


def prose(page):
    """Return a page without its code blocks: what stands in a block is no link."""
    return _FENCE.sub("", page)


def blocks(page, kind):
    """Return the fenced blocks of a kind, without the indentation of a list."""
    found = [(m[1], m[3]) for m in _FENCE.finditer(page) if m[2] == kind]
    return [re.sub(f"^{indent}", "", body, flags=re.M) for indent, body in found]


def rule_blocks(page):
    """Return (place, body) of the blocks that say which rule file they are."""
    pairs = [(_PLACE.match(body), body) for body in blocks(page, "yaml")]
    return [(place[1], body) for place, body in pairs if place]


def commands(group, path=("huntaze",)):
    """Return every command that can be run, as it is typed."""
    if not hasattr(group, "commands"):
        return [" ".join(path)]
    return [name for key, sub in group.commands.items() for name in commands(sub, (*path, key))]


def unmentioned(names, page):
    """Return the commands that a text never types."""
    return [name for name in names if not re.search(rf"{re.escape(name)}(?![\w-])", page)]


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).strip().replace(" ", "-") for t in titles}


def broken(page, body):
    """Return the relative links of a page that lead nowhere."""
    lost = []
    for link in _LINK.findall(prose(body)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        known = target.exists()
        if known and anchor and target.suffix == ".md":
            known = anchor in anchors(body if target == page else target.read_text("utf-8"))
        if not known and not link.startswith(("http:", "https:", "mailto:")):
            lost.append(link)
    return lost


def wrong_tables(query, tables):
    """Return the tables that a query names and nobody builds."""
    tree = sqlglot.parse_one(query, read="duckdb")
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    named = {f"{t.db}.{t.name}".lstrip(".") for t in tree.find_all(exp.Table)} - own
    return sorted(name for name in named if name not in tables)


def first_cells(page, prefix):
    """Return the backticked first cells of tables that begin with a prefix."""
    return re.findall(rf"^\| `({re.escape(prefix)}\w+)` \| ([\w ]+) \|", page, re.M)


ALL = "\n".join(page.read_text("utf-8") for page in PAGES)
COMMANDS = commands(typer.main.get_command(cli.app))
DOCUMENTED_RULES = [pair for page in RULE_PAGES for pair in rule_blocks(text(page))]
MAPPINGS = [b for page in ("README.md", "docs/import.md") for b in blocks(text(page), "yaml")
            if "kind:" in b]  # fmt: skip


def test_every_command_is_in_some_document():
    assert len(COMMANDS) > 30
    assert unmentioned(COMMANDS, ALL) == []


def test_a_command_that_nobody_describes_is_found():
    assert unmentioned(["huntaze rules apply"], "huntaze rules applying") == ["huntaze rules apply"]


def arguments(group, path=("huntaze",)):
    """Return every positional argument of every command, with its help."""
    if not hasattr(group, "commands"):
        return {
            f"{' '.join(path)} {p.name}": p.help for p in group.params
            if p.param_type_name == "argument"
        }  # fmt: skip
    found = (arguments(sub, (*path, key)) for key, sub in group.commands.items())
    return {name: told for one in found for name, told in one.items()}


def test_every_argument_of_a_command_says_what_it_is():
    found = arguments(typer.main.get_command(cli.app))
    assert len(found) > 20
    assert [name for name, told in found.items() if not told] == []


def test_no_document_types_a_command_that_does_not_exist():
    groups = {name.split()[1] for name in COMMANDS}
    typed = re.findall(r"^\s*(?:`?\| `)?huntaze ([a-z-]+)", "\n".join(
        block for kind in ("sh", "") for page in PAGES
        for block in blocks(page.read_text("utf-8"), kind)), re.M)  # fmt: skip
    assert typed
    assert set(typed) <= groups


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    assert broken(page, page.read_text("utf-8")) == []


def test_a_link_to_nowhere_is_found():
    body = "[a](nowhere.md) [b](#no-such-heading) [c](import.md#fans) [d](https://example.com)"
    assert broken(ROOT / "docs/rules.md", body) == ["nowhere.md", "#no-such-heading"]


def faults_of(rules_dir, pairs):
    for place, body in pairs:
        (rules_dir.parent / place).write_text(body, "utf-8")
    return [str(problem) for problem in loader.drafted(rules_dir).problems]


@pytest.fixture
def rules_dir(tmp_path):
    return Path(shutil.copytree(ROOT / "rules", tmp_path / "rules"))


def test_every_rule_in_the_documents_loads_beside_those_that_ship(rules_dir):
    assert len(DOCUMENTED_RULES) >= 7
    assert faults_of(rules_dir, DOCUMENTED_RULES) == []


def test_the_tests_of_the_documents_rules_hold(rules_dir):
    assert faults_of(rules_dir, DOCUMENTED_RULES) == []
    tested = [Path(place).stem for place, body in DOCUMENTED_RULES if "\ntests:" in body]
    results = trial.run(loader.drafted(rules_dir), tested)
    assert len(results) >= 4
    assert [str(problem) for result in results for problem in result.problems] == []


def test_a_rule_in_a_document_with_a_fault_is_found(rules_dir):
    place, body = next(p for p in DOCUMENTED_RULES if p[0].endswith("thank_big_spenders.yaml"))
    wrong = body.replace("lifetime_spend", "lifetime_spent")
    told = re.search(r"^\s+(rules/automations/thank_big.*)$", text("README.md"), re.M)
    assert faults_of(rules_dir, [(place, wrong)]) == [told[1]]


@pytest.mark.parametrize("page", RULE_PAGES)
def test_every_rule_in_a_document_says_which_file_it_is(page):
    unplaced = [b for b in blocks(text(page), "yaml") if "name:" in b and not _PLACE.match(b)]
    assert [b for b in unplaced if "kind:" not in b] == []


@pytest.mark.parametrize("body", MAPPINGS, ids=lambda body: yaml.safe_load(body)["kind"])
def test_every_mapping_in_the_documents_is_one(body):
    assert mapping.parse(body, "docs").kind in mapping.KINDS


def test_the_documents_show_every_kind_of_mapping_and_find_a_wrong_one():
    assert {yaml.safe_load(body)["kind"] for body in MAPPINGS} == set(mapping.KINDS)
    with pytest.raises(ImportFileError, match="no such key"):
        mapping.parse(MAPPINGS[0] + "nonsense: 1\n", "docs")


def test_every_key_of_a_mapping_is_explained():
    page = text("docs/import.md")
    keys = {key for part in Part.__subclasses__() for key in part.model_fields}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", page)] == []


def test_the_events_that_import_lists_are_those_of_the_code():
    listed = re.search(r"^Names: (.*?)\.$", text("docs/import.md"), re.M | re.S)
    assert re.findall(r"`([\w:]+)`", listed[1]) == [*NAMES, "custom:word"]


def test_every_setting_is_in_running():
    page = text("docs/running.md")
    names = [field.alias for field in Settings.model_fields.values()]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_fields_that_rules_lists_are_those_of_the_code():
    page = text("docs/rules.md")
    for scope, known in fields.SCOPES.items():
        listed = dict(first_cells(page, f"{scope}."))
        assert listed == {f"{scope}.{name}": kind.value for name, kind in known.items()}


def test_the_reports_that_reports_lists_are_those_that_ship():
    table = text("docs/reports.md").partition("| report | what it shows |")[2].partition("\n\n")[0]
    shipped = {path.stem for path in (ROOT / "dbt_like_sql/reports").glob("*.sql")}
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == shipped


def test_the_functions_that_rules_lists_are_those_of_the_code():
    table = text("docs/rules.md").partition("| function | gives |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)\(", table)) == {*language.FUNCTIONS, *language.SPECIAL}


def test_every_reason_in_rules_is_one_that_the_code_gives():
    table = text("docs/rules.md").partition("| reason | state | when |")[2].partition("\n\n")[0]
    reasons = re.findall(r"^\| `(\w+)", table, re.M)
    rooms = [
        ROOT / "huntaze_pipeline" / room for room in ("store", "campaigns", "rulebook", "delivery")
    ]
    code = "\n".join(f.read_text("utf-8") for room in rooms for f in room.rglob("*.py"))
    assert len(reasons) >= 18
    assert [r for r in reasons if not re.search(rf"[\"']{r}(?![a-z])", code)] == []


def test_the_states_that_sending_lists_are_those_of_the_code():
    table = text("docs/sending.md").partition("## States")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", table, re.M)) == PUBLIC


def tables():
    project = models.load(ROOT / "dbt_like_sql")
    return {m.name for m in project.models} | {f"raw.{name}" for name in raw.TABLES}


def test_every_query_in_the_documents_names_tables_that_are_built():
    queries = blocks(text("docs/numbers.md"), "sql")
    queries += re.findall(r'huntaze sql "([^"]+)"', ALL)
    assert len(queries) >= 7
    assert [
        wrong_tables(query, tables()) for query in queries if wrong_tables(query, tables())
    ] == []


def test_a_query_of_a_table_that_nobody_builds_is_found():
    assert wrong_tables("with a as (select 1) from a, marts.fans", {"marts.fan_facts"}) == [
        "marts.fans"
    ]


def test_every_column_that_a_query_names_exists():
    project = models.load(ROOT / "dbt_like_sql")
    schema = {}
    for model in project.models:
        layer, name = model.name.split(".")
        schema.setdefault(layer, {})[name] = {c.name: c.type for c in model.columns}
    queries = blocks(text("docs/numbers.md"), "sql")
    assert len(queries) >= 7
    for query in queries:
        sqlglot.optimizer.qualify.qualify(
            sqlglot.parse_one(query, read="duckdb"), schema=schema, dialect="duckdb"
        )


def test_the_definitions_of_windows_are_those_of_the_rules():
    said = re.findall(r"^\| (default|e-mail|OnlyFans) \| (.+) \|$", text("docs/numbers.md"), re.M)
    windows = yaml.safe_load(text("rules/goals.yaml"))["goals"]["purchase"]["windows"]
    units = {"d": "days", "h": "hours"}
    for label, cells in said:
        given = windows[{"e-mail": "email", "OnlyFans": "onlyfans"}.get(label, label)]
        wanted = [given.get(touch) for touch in ("clicked", "opened", "delivered")]
        written = [f"{w[:-1]} {units[w[-1]]}" if w else "none" for w in wanted]
        assert cells.split(" | ") == written
    assert len(said) == 3


def test_the_map_of_the_house_names_every_package():
    packages = [init.parent.name for init in ROOT.glob("huntaze_pipeline/*/__init__.py")]
    named = re.findall(r"^\| `(\w+)` \|", text("docs/architecture.md"), re.M)
    assert sorted(named) == sorted(packages)


def test_the_readme_fits_on_a_page():
    assert len(text("README.md").splitlines()) < 120
