"""Puts the tests' rig on the import path and the peers' places on PATH; every benchmark imports it first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

# BENCH_PATH: where supervisors are that are not on PATH (a virtual environment's bin, node_modules/.bin, a Node)
if extra := os.environ.get("BENCH_PATH"):
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), extra])
