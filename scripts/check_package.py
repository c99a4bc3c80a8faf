"""Build the wheel and the source archive, look at what they hold, and use the wheel in a fresh virtual environment.

Example: python scripts/check_package.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import tyro

from agents.cli import fail_in_one_line

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agents", "gan_backbones", "gan_env")
DATA = (
    "agents/records/best_static.json",
    *(f"agents/page/{name}.css" for name in ("palette", "chart", "page")),
)
"""Files in the wheel that are no source."""
SOURCE_ARCHIVE = (
    *("LICENSE", "THIRD_PARTY.md", "README.md", "Makefile", "constraints.txt", "pyproject.toml", "mkdocs.yml"),
    *("docs/index.md", "examples/balanced_dcgan.py", "scripts/train_agent.py"),
    *("tests/conftest.py", "tests/gan_env/conftest.py"),
)
"""What the source archive must hold beside the packages: all that a test run needs."""
USE = """
import gymnasium, pathlib, sys
import agents.best_static, gan_backbones, gan_env
prefix = pathlib.Path(sys.prefix).resolve()
for package in (agents.best_static, gan_backbones, gan_env):
    assert pathlib.Path(package.__file__).resolve().is_relative_to(prefix), package.__file__
env = gymnasium.make("gan_env:GanBalanceEnv-v0", suite="ring")
env.reset(seed=0)
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
assert env.observation_space.contains(observation) and not truncated
env.close()
assert agents.best_static.best_static_rates("ring") is not None
print(f"used in {prefix}: reward {reward:.3f}, best static rates {agents.best_static.best_static_rates('ring')}")
"""


@dataclass(frozen=True)
class Options:
    """Options of check_package.py."""

    site_packages: Path | None = None
    """Folder of installed dependencies to lend to the fresh environment; without it, all are downloaded."""
    isolation: bool = True
    """Download the build's own requirements; --no-isolation takes those that are installed."""
    use: bool = True
    """Install the wheel and use it; --no-use stops after looking at the archives."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    if options.site_packages is not None and not (options.site_packages / "torch").is_dir():
        raise ValueError(f"--site-packages {options.site_packages} holds no torch; name a site-packages folder")
    with tempfile.TemporaryDirectory() as folder:
        wheel, source = build_archives(Path(folder) / "dist", isolation=options.isolation)
        problems = wheel_problems(wheel) + source_problems(source)
        if problems:
            raise ValueError("; ".join(problems))
        for archive in (wheel, source):
            print(f"{archive.name} ({archive.stat().st_size:,} bytes) holds what it should")
        if options.use:
            use_wheel(wheel, Path(folder), options.site_packages)


def build_archives(output: Path, *, isolation: bool) -> tuple[Path, Path]:
    """The wheel and the source archive that it was built from, in ``output``."""
    _run(sys.executable, "-m", "build", *([] if isolation else ["--no-isolation"]), "--outdir", output, ROOT)
    (wheel,), (source,) = output.glob("*.whl"), output.glob("*.tar.gz")
    return wheel, source


def wheel_problems(wheel: Path) -> list[str]:
    """What is missing in a wheel or should not be there, a sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    present = {name for name in names if not name.partition("/")[0].endswith(".dist-info")}
    licences = {PurePosixPath(name).name for name in names - present if "/licenses/" in name}
    return _differences("wheel", present, package_files()) + _missing("wheel", {"LICENSE", "THIRD_PARTY.md"} - licences)


def source_problems(source: Path) -> list[str]:
    """What is missing in a source archive, a sentence each."""
    with tarfile.open(source) as archive:
        present = {name.partition("/")[2] for name in archive.getnames()}
    return _missing("source archive", ({*SOURCE_ARCHIVE} | package_files()) - present)


def package_files() -> set[str]:
    """Every file of the three packages that belongs into a wheel."""
    sources = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    policies = (ROOT / "agents" / "policies").glob("*.safetensors")
    return {path.relative_to(ROOT).as_posix() for path in (*sources, *policies)} | {*DATA}


def use_wheel(wheel: Path, folder: Path, site_packages: Path | None) -> None:
    """Install ``wheel`` in a new environment in ``folder`` and use it there, away from the repository."""
    environment, elsewhere = folder / "environment", folder / "elsewhere"
    elsewhere.mkdir()
    _run(sys.executable, "-m", "venv", environment)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "-q"]
    if site_packages is None:
        _run(*install, "-c", ROOT / "constraints.txt", wheel)
    else:
        # The loan comes after the installation, so that pip neither sees nor touches what is lent.
        _run(*install, "--no-deps", wheel)
        own = _run(python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        Path(own, "lent.pth").write_text(f"{site_packages.resolve()}\n")
    print(_run(python, "-I", "-c", USE, folder=elsewhere).strip())


def _differences(kind: str, present: set[str], wanted: set[str]) -> list[str]:
    extra = [f"{kind} should not hold {name}" for name in sorted(present - wanted)]
    return extra + _missing(kind, wanted - present)


def _missing(kind: str, names: set[str]) -> list[str]:
    return [f"{kind} lacks {name}" for name in sorted(names)]


def _run(*command: object, folder: Path | None = None) -> str:
    """Standard output of a command; its failure is a ``ValueError`` with its last line."""
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no output"]
        raise ValueError(f"{' '.join(str(part) for part in command[:5])} ... failed: {lines[-1]}")
    return done.stdout


if __name__ == "__main__":
    fail_in_one_line(main)
