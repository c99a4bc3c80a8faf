"""What TensorBoard is given, read back."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from agents.report.analysis import analyse
from agents.report.folder import read_comparison
from agents.report.tensorboard import LAYOUT, write_tensorboard
from agents.statistics import interquartile_mean
from tests.agents.comparisons import DECISIONS, KNOBS, grades, write_comparison


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The analyses and the folder of event files."""
    root = tmp_path_factory.mktemp("tensorboard")
    folder = write_comparison(root / "run", methods=("noop", "oracle", "ppo[reward=terminal]"), runs=2)
    analyses = [analyse(table) for table in read_comparison([folder]).tables]
    assert write_tensorboard(analyses, root / "events") == 2 * (1 + 1 + 2)
    return analyses, root / "events"


def events(folder):
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    reader.Reload()
    return reader


def test_every_cell_is_a_run(written):
    _, folder = written
    runs = {path.parent.relative_to(folder).as_posix() for path in folder.rglob("events.*")}
    cells = {f"ring/{t}/{m}" for t in ("rescue", "free") for m in ("noop/0", "oracle/0")}
    cells |= {f"ring/{t}/ppo[reward=terminal]/{s}" for t in ("rescue", "free") for s in (0, 1)}
    assert runs == cells | {"."}


def test_curves_and_knobs_can_be_overlaid(written):
    _, folder = written
    reader = events(folder / "ring/free/ppo[reward=terminal]/1")
    curve = reader.Scalars("validation/grade")
    assert [event.step for event in curve] == [u * 100_000 for u in range(2, 11)]
    for knob in KNOBS:
        path = reader.Scalars(f"knobs/{knob}")
        first = 1 if knob == "fm_weight" else 0  # whose start is not recorded
        assert [event.step for event in path] == list(range(first, DECISIONS + 1))
    assert reader.Scalars("knobs/lr_g")[0].value == pytest.approx(-4)


def test_the_layout_is_one_for_all_runs(written):
    _, folder = written
    (tensor,) = events(folder).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(tensor.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == list(LAYOUT)
    assert [chart.title for chart in layout.category[0].chart] == list(LAYOUT["Comparison"])
    assert list(layout.category[0].chart[0].multiline.tag) == ["validation/grade"]


def test_hyperparameters_name_the_cell_and_metrics_grade_it(written):
    analyses, folder = written
    reader = events(folder / "ring/rescue/ppo[reward=terminal]/1")
    start = HParamsPluginData.FromString(
        reader.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    ).session_start_info
    settings = {name: value.string_value or value.number_value for name, value in start.hparams.items()}
    assert settings == {
        "suite": "ring",
        "table": "rescue",
        "method": "ppo[reward=terminal]",
        "kind": "learned",
        "seed": 1,
    }
    final = grades("ppo[reward=terminal]", 2)[1]
    expected = {
        "test/median": np.median(final),
        "test/worst_tenth": np.quantile(final, 0.9),
        "test/score": interquartile_mean(analyses[0].scale.score(final)),
        "cost/gan_updates": 1e6,
    }
    for name, value in expected.items():
        assert reader.Scalars(name)[0].value == pytest.approx(value, rel=1e-6)


def test_a_used_folder_is_refused(written):
    analyses, folder = written
    with pytest.raises(ValueError, match="is not empty"):
        write_tensorboard(analyses, folder)
    with pytest.raises(ValueError, match="cannot write"):
        write_tensorboard(analyses, next(folder.glob("events.*")))
