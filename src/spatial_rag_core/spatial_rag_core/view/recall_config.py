"""What a picture of a moment shows of what is recalled."""

from __future__ import annotations

from dataclasses import dataclass

from spatial_rag_core.errors import ConfigurationError


@dataclass(frozen=True)
class RecallConfig:
    """
    What is recalled: k memories within radius_m [m], min_age_sec [s] before or after.

    Chosen as the retriever node does it by default: by pose, of views of one place the last.
    """

    k: int = 8
    radius_m: float = 5.0
    min_age_sec: float = 5.0

    def __post_init__(self) -> None:
        if self.k < 1 or not self.radius_m > 0.0 or not self.min_age_sec >= 0.0:
            raise ConfigurationError(
                f'k and radius_m must be > 0 and min_age_sec >= 0, got {self.k}, '
                f'{self.radius_m} m and {self.min_age_sec} s')
