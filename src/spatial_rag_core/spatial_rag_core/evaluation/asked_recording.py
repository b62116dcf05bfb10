"""Which recording is meant: what a bundle keeps of those it learned from, and whether one is it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_rag_core.data.bags.bag_files import recording_of

import numpy as np
