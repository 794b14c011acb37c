"""``python run.py analyze ...`` and ``python run.py test``: sets up .venv beside this file, then hands on.

Needs Python 3.11 or newer and nothing else; leaves the system's Python alone.
"""

import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def set_up(extra):
    """Install this checkout, with the extra of that name, unless that was done since its last change."""
    stamps = {name: VENV / f"installed{name}" for name in ("", "[test]")}
    folders = [ROOT / name for name in ("api", "cli", "engine", "export", "models")]
    files = [ROOT / "pyproject.toml", *folders, *(path for folder in folders for path in folder.rglob("*"))]
    newest = max(path.stat().st_mtime_ns for path in files if "__pycache__" not in path.parts)
    if PYTHON.exists() and stamps[extra].exists() and stamps[extra].stat().st_mtime_ns > newest:
        return
    if not PYTHON.exists():
        print(f"Making {VENV} ...", flush=True)
        try:
            venv.create(VENV, clear=True, with_pip=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(VENV)
            sys.exit("This Python makes no venv with pip; on Debian or Ubuntu: sudo apt install python3-venv")
    print("Installing samcolloid-edge and what it needs; this may take minutes ...", flush=True)
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)  # holds deleted files
    for stamp in stamps.values():
        stamp.unlink(missing_ok=True)
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", f".{extra}"]
    if code := subprocess.run(pip, cwd=ROOT).returncode:
        sys.exit(f"The installation failed (exit code {code}); the lines above say why.")
    for name in {"", extra}:
        stamps[name].touch()


def main():
    if sys.version_info < (3, 11):  # noqa: UP036, this script meets any Python
        sys.exit(f"samcolloid-edge needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    command, *rest = sys.argv[1:] or ["--help"]
    set_up("[test]" if command == "test" else "")
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the program: it ends in order
    # -P: what is installed runs, not what happens to lie in the current folder.
    if command == "test":
        return subprocess.run([PYTHON, "-P", "-m", "pytest", *rest], cwd=ROOT).returncode
    return subprocess.run([PYTHON, "-P", "-m", "samcolloid_edge.cli", command, *rest]).returncode


if __name__ == "__main__":
    sys.exit(main())
