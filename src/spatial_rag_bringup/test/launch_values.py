"""The values of launch arguments, as a launch file finds them."""

from __future__ import annotations

from collections.abc import Sequence

from spatial_rag_bringup.launch_arguments import Argument


def values_of(arguments: Sequence[Argument], **given: str) -> dict[str, str]:
    """Defaults, and what is given; an argument without a default must be given."""
    values = {argument.name: argument.default for argument in arguments} | given
    assert None not in values.values()
    assert values.keys() == {argument.name for argument in arguments} | given.keys()
    return {name: str(value) for name, value in values.items()}
