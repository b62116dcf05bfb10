"""Whether a robot gives a model the kind of actions that it learned from."""

from __future__ import annotations

from spatial_rag_core.models.bundle_metadata import BundleMetadata


def other_actions(metadata: BundleMetadata, action_source: str) -> str:
    """
    Tell what is wrong with an action_source, and the remedy; '' for nothing.

    action_source: 'motion' gives past motion, 'topic' and 'twist' give commands.  A bundle that
    does not say what it learned from suits all.
    """
    given = 'past motion' if action_source == 'motion' else 'commands'
    learned = metadata.training.get('data', {}).get('actions_from', given)
    if learned == given:
        return ''
    remedy = 'motion' if given == 'commands' else 'topic or twist'
    return (f'model {metadata.model_id} learned from {learned}, action_source {action_source} '
            f'gives it {given}; set action_source to {remedy}, here and in memory_writer')
