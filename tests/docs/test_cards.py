"""What the pages take from the program is complete and right."""

import dataclasses
import re
from pathlib import Path

import pytest

from agents.bandit_teams import TEAMS
from agents.bandits import BANDITS
from agents.methods import METHODS, MOST_MEMBERS
from agents.methods.learned import VARIABLE
from agents.methods.method import BUDGETS
from agents.methods.search import TRIALS
from agents.rules import RULES
from gan_backbones import BACKBONES, LOSSES
from gan_backbones.data import DATA_SETS
from gan_env import KNOBS, SUITES, ActionCodec, EnvConfig
from gan_env.knobs import DEFAULT_KNOBS
from gan_env.latent_config import BanditConfig, BoxConfig
from gan_env.latent_reward import TERMS as LATENT_TERMS
from gan_env.observation import feature_table, groups
from gan_env.reward import PRESETS, TERMS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("gan_env", "agents", "gan_backbones")


def section(markdown, title):
    """The text under a heading of level 2."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def environment_page(docs_tool):
    return docs_tool("cards").fill((DOCS / "environment.md").read_text())


def rows(markdown):
    """The cells of every table row, by the name in their first cell."""
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("| ")]
    return {cells[0].strip("`"): cells for cells in lines}


def test_the_environment_page_names_everything(environment_page):
    tables = {
        "Features": {f.name: f.description for f in feature_table(tuple(KNOBS), groups())},
        "Knobs": {k.name: k.description for k in KNOBS.values()},
        "Reward": {t.name: t.description for t in TERMS.values()} | dict.fromkeys(PRESETS, ""),
        "Options": dict.fromkeys((field.name for field in dataclasses.fields(EnvConfig)), ""),
    }
    for title, entries in tables.items():
        found = rows(section(environment_page, title))
        for name, description in entries.items():
            assert name in found, (title, name)
            assert description in " | ".join(found[name]), (title, name)
    for name in SUITES:
        assert f"### {name}\n" in section(environment_page, "Suites")
        assert SUITES[name].description in section(environment_page, "Suites")
    for name in (*DATA_SETS, *BACKBONES, *LOSSES, "folder:PATH"):
        assert f"`{name}`" in section(environment_page, "Names"), name
    for index, name in enumerate(ActionCodec("discrete", DEFAULT_KNOBS).action_names):
        assert f"| {index} | {name} |" in environment_page
    for title in ("Task", "Actions", "Observations", "Rewards", "Endings", "Reset", "Info"):
        assert f"### {title}\n" in section(environment_page, "Card")


def test_the_latent_page_names_everything(docs_tool):
    cards = docs_tool("cards")
    page = cards.fill((DOCS / "latent.md").read_text())
    found = rows(page)
    for term in LATENT_TERMS.values():
        assert term.description in found[term.name]
    for config in (BanditConfig, BoxConfig):
        for field in dataclasses.fields(config):
            assert len(found[field.name][-1]) > 10, f"{field.name} has no docstring"
    for name in (*BANDITS, *TEAMS, "GanLatentBandit-v0", "GanLatentBox-v0"):
        assert f"`{name}`" in page or f"### {name}\n" in page, name
    assert "#### Rewards\n" in page


def test_tables_hold_the_values(environment_page):
    assert rows(section(environment_page, "Knobs"))["fm_weight"][1:4] == ["0.001", "100", "0.1"]
    assert rows(section(environment_page, "Features"))["budget_left"][1:4] == ["default", "0\u00a0to\u00a01", "no"]
    for name, weights in PRESETS.items():
        found = [line for line in section(environment_page, "Reward").splitlines() if line.startswith(f"| `{name}` |")]
        expected = "| " + " | ".join([f"`{name}`", *(f"{weights.get(term, 0):g}" for term in TERMS)]) + " |"
        assert expected in found


def test_every_option_has_its_sentence(docs_tool, environment_page):
    texts = docs_tool("cards").field_docstrings(EnvConfig)
    for field in dataclasses.fields(EnvConfig):
        assert texts[field.name], f"EnvConfig.{field.name} has no docstring"
        assert texts[field.name] in " | ".join(rows(section(environment_page, "Options"))[field.name])


def test_field_docstrings_belong_to_the_field_before(docs_tool):
    @dataclasses.dataclass
    class Example:
        """Not a field's."""

        first: int
        second: int = 2
        """Of the
        second."""

        def method(self) -> None:
            """Nobody's."""

    assert docs_tool("cards").field_docstrings(Example) == {"first": "", "second": "Of the second."}


def test_every_table_has_as_many_cells_in_each_row(docs_tool):
    cards = docs_tool("cards")
    latent = ("latent options", "latent rewards")
    for part in (
        "actions",
        "features",
        "knobs",
        "reward terms",
        "reward presets",
        "suites",
        "options",
        "names",
        *latent,
    ):
        for block in re.findall(r"(?:^\|.*\n?)+", cards.PARTS[part](), re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, part


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_pages_are_filled_and_listed(docs_tool, page):
    cards = docs_tool("cards")
    filled = cards.fill(cards.with_site_links(page.read_text(), page.parent))
    assert "writes here" not in filled
    assert ":class:" not in filled and ":func:" not in filled
    assert f": {page.relative_to(DOCS).as_posix()}\n" in (ROOT / "mkdocs.yml").read_text()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", filled):
        assert "://" in target or (page.parent / target).resolve().is_relative_to(DOCS), target
        assert "://" in target or (page.parent / target).exists(), target


def test_an_unknown_part_is_refused(docs_tool):
    with pytest.raises(ValueError, match=r"'nothing'; known: .*features"):
        docs_tool("cards").fill("*`make docs` writes here: nothing (anywhere)*")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_names_every_public_module(docs_tool, package):
    reference = docs_tool("cards").PARTS[f"reference {package}"]()
    named = re.findall(r"^::: (\S+)$", reference, re.MULTILINE)
    for file in (ROOT / package).rglob("*.py"):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        public = "._" not in module and file.read_text().startswith('"""')
        assert (module in named) == public, module


def test_links_out_of_the_documentation_become_text(docs_tool):
    links = docs_tool("cards").with_site_links
    assert links("see [the `env`](gan_env/config.py)!", ROOT) == "see the `env`!"
    assert links("![a](docs/images/demo.png)", ROOT) == "![a](images/demo.png)"
    assert links("[r](docs/results/README.md#x)", ROOT) == "[r](results/README.md#x)"
    assert links("[r](../images/demo.png) [o](../../LICENSE)", DOCS / "results") == "[r](../images/demo.png) o"
    for untouched in ("[h](https://example.org/a)", "[b](broken.md)", "[s](#here)"):
        assert links(untouched, DOCS) == untouched


@pytest.mark.parametrize(
    ("docstring", "markdown"),
    [
        ("A :class:`~a.b.C` and :func:`a.f`.", "A `C` and `a.f`."),
        (
            "Makes.\n\n``x``: one,\nlong.\n``y``, ``z``: two.",
            "Makes.\n\n- ``x``: one,\n    long.\n- ``y``, ``z``: two.",
        ),
        (
            "Parameters\n----------\na: one.\nb, c: two\n    lines.",
            "**Parameters**\n\n- a: one.\n- b, c: two\n    lines.",
        ),
        ("Plain: text\nover lines.", "Plain: text\nover lines."),
    ],
)
def test_docstrings_become_markdown(docs_tool, docstring, markdown):
    assert docs_tool("dialect").to_markdown(docstring) == markdown


def test_the_comparison_page_names_every_method_and_gain(docs_tool):
    page = docs_tool("cards").fill((DOCS / "comparison.md").read_text())
    found = rows(section(page, "The methods").partition("**Tuning.**")[0])
    for name, method in METHODS.items():
        assert (
            found[name][1:3] == [method.kind, "yes" if method.tuned else "no"] and method.description in found[name][3]
        )
    for rule in RULES.values():
        for gain, one in rule.gains.items():
            assert f"| `{gain}` | {one.low:g}\u00a0to\u00a0{one.high:g} |" in page
    assert f"{TRIALS} trials" in page and f"{MOST_MEMBERS} at most" in page
    for budget in BUDGETS.values():
        assert f"{budget:,}" in page
    for option in VARIABLE:
        assert f"`{option}`" in page


def test_the_page_of_train_gan_names_every_rule(docs_tool):
    found = rows(section(docs_tool("cards").fill((DOCS / "train-gan.md").read_text()), "Who turns the knobs"))
    assert all(rule.description in found[name][2] for name, rule in RULES.items())
