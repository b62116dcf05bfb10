"""What was left out of a collection, how often, and why."""

from __future__ import annotations

from collections import Counter


class Findings:
    """Counts by kind, such as 'undecodable', and the first message of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}
        self._news: dict[str, str] = {}

    def note(self, kind: str, reason: object, count: int = 1) -> None:
        """Count a finding; an exception's message is put on one line."""
        self.counts[kind] += count
        told = ' '.join(str(reason).split()) or type(reason).__name__
        self.reasons.setdefault(kind, told)
        self._news[kind] = told

    def take_news(self) -> list[tuple[str, str]]:
        """Kinds that were found since the last call, each with its latest reason."""
        news, self._news = list(self._news.items()), {}
        return news

    def worst(self) -> str:
        """The kind that was found most often, with its reason; empty where all was well."""
        for kind, count in self.counts.most_common(1):
            return f'{count} {kind.replace("_", " ")}: {self.reasons[kind]}'
        return ''
