"""The page of a synthetic comparison, made once."""

import pytest

from agents.report.analysis import analyse
from agents.report.folder import read_comparison
from agents.report.page import render_page
from tests.agents.comparisons import write_comparison


@pytest.fixture(scope="session")
def comparison(tmp_path_factory):
    return read_comparison([write_comparison(tmp_path_factory.mktemp("comparison") / "run")])


@pytest.fixture(scope="session")
def analyses(comparison):
    return [analyse(table) for table in comparison.tables]


@pytest.fixture(scope="session")
def page(comparison, analyses):
    return render_page(comparison, analyses)
