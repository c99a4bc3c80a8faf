"""The package check finds what it is there to find."""

import importlib.util
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("check_package", ROOT / "scripts" / "check_package.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "check_package", module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def archives(check, tmp_path_factory):
    """The wheel and the source archive, built from a copy, so that nothing is left in the repository."""
    folder = tmp_path_factory.mktemp("package")
    copy = folder / "copy"
    ignored = shutil.ignore_patterns(".*", "runs", "build", "dist", "site", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "ROOT", copy)
        return check.build_archives(folder / "dist", isolation=False)


def test_wheel_and_source_archive_hold_what_they_should(check, archives):
    wheel, source = archives
    assert check.wheel_problems(wheel) == []
    assert check.source_problems(source) == []


def test_a_wrong_wheel_is_found(check, archives, tmp_path):
    bad = tmp_path / "bad.whl"
    with zipfile.ZipFile(archives[0]) as good, zipfile.ZipFile(bad, "w") as archive:
        for name in good.namelist():
            if name != "gan_env/reward.py" and not name.endswith("THIRD_PARTY.md"):
                archive.writestr(name, good.read(name))
        archive.writestr("scripts/train_agent.py", "")
        archive.writestr("agents/records/other.json", "")
    assert set(check.wheel_problems(bad)) == {
        "wheel lacks gan_env/reward.py",
        "wheel lacks THIRD_PARTY.md",
        "wheel should not hold scripts/train_agent.py",
        "wheel should not hold agents/records/other.json",
    }


def test_a_wrong_source_archive_is_found(check, archives, tmp_path):
    bad = tmp_path / "bad.tar.gz"
    with tarfile.open(archives[1]) as good, tarfile.open(bad, "w:gz") as archive:
        for member in good.getmembers():
            if not member.name.endswith(("/LICENSE", "/tests/conftest.py")) and member.isfile():
                archive.addfile(member, good.extractfile(member))
    assert set(check.source_problems(bad)) == {"source archive lacks LICENSE", "source archive lacks tests/conftest.py"}


def test_a_wrong_site_packages_folder_is_refused(run_script, capsys, tmp_path):
    assert run_script("check_package", "--site-packages", str(tmp_path)) == 2
    assert "holds no torch" in capsys.readouterr().err
