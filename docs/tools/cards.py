"""What the documentation shows of the program itself, as Markdown: written from the tables, never by hand.

A page asks for a part by a line ``*`make docs` writes here: NAME (where else it can be read)*``, which is what readers
of the repository see; :data:`PARTS` holds the names.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialect import to_markdown

from agents.methods import METHODS
from agents.rules import RULES
from gan_backbones import BACKBONES, LOSSES
from gan_backbones.data import DATA_SETS
from gan_env import KNOBS, SUITES, ActionCodec, EnvConfig, GanBalanceEnv, GanLatentBandit, GanLatentBox
from gan_env.knobs import DEFAULT_KNOBS
from gan_env.latent_config import BanditConfig, BoxConfig, LatentConfig
from gan_env.latent_reward import TERMS as LATENT_TERMS
from gan_env.observation import feature_table, groups
from gan_env.reward import PRESETS, TERMS

ROOT = Path(__file__).parents[2]
PACKAGES = ("gan_env", "agents", "gan_backbones")
_PLACEHOLDER = re.compile(r"^\*`make docs` writes here: (.+?)(?: \(.+\))?\*$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(*values: object) -> str:
    """Values as code, separated by commas."""
    return ", ".join(f"`{value}`" for value in values)


def card(environment: type = GanBalanceEnv, marks: str = "###") -> str:
    """The environment's docstring, its headings moved down."""
    text = to_markdown(inspect.cleandoc(environment.__doc__ or ""))
    return re.sub(r"^## ", f"{marks} ", text, flags=re.MULTILINE)


def latent_cards() -> str:
    """Those of the environments over a frozen GAN."""
    cards = ((one.__name__ + "-v0", card(one, "####")) for one in (GanLatentBandit, GanLatentBox))
    return "\n\n".join(f"### {name}\n\n{text}" for name, text in cards)


def actions() -> str:
    """The discrete actions at the default knobs."""
    names = ActionCodec("discrete", DEFAULT_KNOBS).action_names
    return table(("action", "meaning"), ((index, name) for index, name in enumerate(names)))


def features() -> str:
    """Every feature of every group, for all knobs, in the order of the vector."""
    rows = (
        (code(f.name), f.group, f"{f.low:g}\u00a0to\u00a0{f.high:g}", _yes(f.history), f.description)
        for f in feature_table(tuple(KNOBS), groups())
    )
    return table(("feature", "group", "range", "history", "meaning"), rows)


def knobs() -> str:
    rows = (
        (code(k.name), f"{k.low:g}", f"{k.high:g}", f"{k.default:g}", _yes(k.name in DEFAULT_KNOBS), k.description)
        for k in KNOBS.values()
    )
    return table(("knob", "lowest", "highest", "start", "turned by default", "meaning"), rows)


def terms() -> str:
    rows = ((code(t.name), t.description, _yes(t.needs_quality)) for t in TERMS.values())
    return table(("term", "meaning", "needs the quality proxy"), rows)


def presets() -> str:
    """The weight of each term in each preset."""
    rows = ([code(name), *(f"{weights.get(term, 0):g}" for term in TERMS)] for name, weights in PRESETS.items())
    return table(("preset", *(code(term) for term in TERMS)), rows)


def suites() -> str:
    """A heading and a table for each suite."""
    return "\n\n".join(f"### {name}\n\n{_fields(suite)}" for name, suite in SUITES.items())


def _fields(*items: Any) -> str:
    """Fields of dataclasses side by side; those that hold dataclasses themselves follow in tables of their own."""
    names = [field.name for field in dataclasses.fields(items[0]) if field.name != "name"]
    nested = [name for name in names if _holds_dataclasses(getattr(items[0], name))]
    rows = ([code(name), *(_plain(getattr(item, name)) for item in items)] for name in names if name not in nested)
    columns = ["value"] if len(items) == 1 else range(1, len(items) + 1)
    parts = [table(("field", *columns), rows)]
    parts += [f"{code(name)}:\n\n{_fields(*getattr(items[0], name))}" for name in nested]
    return "\n\n".join(parts)


def _holds_dataclasses(value: object) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(dataclasses.is_dataclass(one) for one in value)


def options(*configs: type) -> str:
    """The fields of ``EnvConfig``, or of other dataclasses, with the sentences that stand under them."""
    rows = []
    for config in configs or (EnvConfig,):
        texts = field_docstrings(config)  # those that a class inherits belong to the other one
        for f in dataclasses.fields(config):
            if f.name in texts:
                kind = code(str(f.type).replace(" | None", ""))
                rows.append((code(f.name), kind, code(_default(f.default)), to_markdown(texts[f.name])))
    return table(("option", "type", "default", "meaning"), rows)


def latent_options() -> str:
    return options(LatentConfig, BanditConfig, BoxConfig)


def latent_rewards() -> str:
    rows = ((code(t.name), t.description, ", ".join(sorted(t.needs)) or "nothing") for t in LATENT_TERMS.values())
    return table(("term", "meaning", "needs"), rows)


def names() -> str:
    """What ``data``, ``backbone`` and a suite's ``loss`` can be."""
    data = [f"{code(source.name)} ({source.description})" for source in DATA_SETS.values()]
    rows = (
        ("data sets", ", ".join([*data, "`folder:PATH` (your own images)"])),
        ("backbones", code(*BACKBONES)),
        ("losses", code(*LOSSES)),
    )
    return table(("kind", "names"), rows)


def rules() -> str:
    """What `train_gan.py` may be told to let turn the knobs."""
    rows = ((code(name), rule.kind, rule.description) for name, rule in RULES.items())
    return table(("`--controller`", "kind", "what it does"), rows)


def methods() -> str:
    """Every method of the comparison, and whether it spends the budget."""
    rows = ((code(name), m.kind, _yes(m.tuned), m.description) for name, m in METHODS.items())
    return table(("method", "kind", "spends the budget", "what it does"), rows)


def gains() -> str:
    """What is tuned of each closed-loop rule."""
    rows = (
        (code(name), code(gain), f"{one.low:g}\u00a0to\u00a0{one.high:g}", _yes(one.logarithmic), f"{one.default:g}")
        for name, rule in RULES.items()
        for gain, one in rule.gains.items()
    )
    return table(("rule", "gain", "range", "logarithmic", "tried first"), rows)


def readme() -> str:
    """The README without its title and the part about the repository, its links made to work from the site."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, body = text.partition("\n")
    body, found, _ = body.partition("\n## Where things are\n")
    if not found:
        raise ValueError("README.md has no heading '## Where things are', at which the front page ends")
    return with_site_links(body.strip(), ROOT)


def modules(package: str) -> list[str]:
    """Dotted names of a package's public modules, the package itself first."""
    folder = ROOT / package
    paths = [path.relative_to(ROOT).with_suffix("") for path in sorted(folder.rglob("*.py"))]
    dotted = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return sorted(name for name in dotted if not any(part.startswith("_") for part in name.split(".")))


def reference(package: str) -> str:
    """One mkdocstrings block a module; a package shows what it defines itself, not what it hands on."""
    blocks = []
    for name in modules(package):
        tree = _parsed(name)
        if ast.get_docstring(tree) is None:
            continue
        blocks.append(f"::: {name}")
        if ROOT.joinpath(*name.split(".")).is_dir():
            blocks[-1] += f"\n    options:\n      members: [{', '.join(_own_names(tree))}]"
    return "\n\n".join(blocks)


PARTS: Mapping[str, Callable[[], str]] = {
    "card": card,
    "actions": actions,
    "features": features,
    "knobs": knobs,
    "reward terms": terms,
    "reward presets": presets,
    "suites": suites,
    "options": options,
    "names": names,
    "rules": rules,
    "methods": methods,
    "gains": gains,
    "latent card": latent_cards,
    "latent options": latent_options,
    "latent rewards": latent_rewards,
    "readme": readme,
    **{f"reference {package}": (lambda package=package: reference(package)) for package in PACKAGES},
}


def fill(markdown: str) -> str:
    """The page with every placeholder filled; an unknown name raises ``ValueError``."""

    def part(match: re.Match[str]) -> str:
        if match[1] not in PARTS:
            raise ValueError(f"unknown generated part {match[1]!r}; known: {', '.join(PARTS)}")
        return PARTS[match[1]]()

    return _PLACEHOLDER.sub(part, markdown)


def with_site_links(markdown: str, folder: Path) -> str:
    """Links of a file in ``folder``, for the site: what lies in the repository but not in ``docs`` becomes plain text.

    Links into ``docs`` from elsewhere are made relative to ``docs``. Anything else stays for the site's own check.
    """
    docs = ROOT / "docs"

    def link(match: re.Match[str]) -> str:
        image, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        path = (folder / target).resolve()
        if "://" in target or not path.exists():
            return match[0]
        if path.is_relative_to(docs):
            target = target if folder.is_relative_to(docs) else path.relative_to(docs).as_posix()
            return f"{image}[{text}]({target}{anchor})"
        return text

    return _LINK.sub(link, markdown)


def field_docstrings(cls: type) -> dict[str, str]:
    """Name -> the string literal that follows a field in the source of a class, on one line; empty without one."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    texts, last = {}, None
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
            texts[last] = ""
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[last] = " ".join(str(node.value.value).split())
            last = None
        else:
            last = None
    return texts


def _parsed(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8"))


def _own_names(tree: ast.Module) -> list[str]:
    """Public names that a module defines at its top level."""
    names = []
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
        names += [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
    return [name for name in names if not name.startswith("_")]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _default(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value).replace("'", "") or '""'


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    if isinstance(value, tuple):
        return ", ".join(_plain(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
