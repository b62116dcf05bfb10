"""Whether memories are made just now, in which session, and with which words."""

from __future__ import annotations

from spatial_rag_core.memory.storing.identifiers import new_session_name
from spatial_rag_core.records import check_labels, check_names


class Recording:
    """
    The episode that memories are made in.

    session: its name; empty: none runs, and nothing is remembered.  labels: words of each memory.
    is_paused: nothing is remembered for a while.  skipped: latents that came while nothing was.
    made: memories made in this session. Raises ConfigurationError.
    """

    def __init__(self, session: str = '', labels: tuple[str, ...] = ()) -> None:
        self.is_paused = False
        self.skipped = self._skipped_before = self.made = 0
        self.session = self._given = ''
        self.labels: tuple[str, ...] = ()
        self.set_labels(labels)
        self.begin(session)

    @property
    def is_on(self) -> bool:
        """Whether memories are made."""
        return bool(self.session) and not self.is_paused

    def begin(self, name: str = '') -> str:
        """Begin another session and return its name; empty: one is made up."""
        check_names(session=name)
        self._given = name
        self.session, self.made = name or new_session_name(), 0
        return self.session

    def begin_after_jump(self) -> None:
        """Time was turned back: another session, named after the one that was asked for."""
        if self.session:
            given, name = self._given, new_session_name()
            self.begin(f'{given}-{name}' if given else name)
            self._given = given

    def end(self) -> None:
        """End the session, where one runs."""
        self.session = ''

    def pause(self) -> None:
        """Make no memories."""
        if not self.is_paused:
            self._skipped_before = self.skipped
        self.is_paused = True

    def resume(self) -> int:
        """Make memories again; returns how many latents the pause left out, 0: it was none."""
        skipped = self.skipped - self._skipped_before if self.is_paused else 0
        self.is_paused = False
        return skipped

    def set_labels(self, labels: tuple[str, ...]) -> None:
        """The words of each memory from now on, each once."""
        check_labels(labels)
        self.labels = tuple(dict.fromkeys(labels))
