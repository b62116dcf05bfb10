"""The parameters of the memory writer, and the configurations that they make."""

from __future__ import annotations

from dataclasses import fields

from spatial_rag_core.memory.admission import AdmissionConfig
from spatial_rag_core.memory.forgetting.capacity import MAX_CAPACITY
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.memory.writer import WriterConfig
from spatial_rag_core.settings import Settings
from spatial_rag_nodes import shared_parameters
from spatial_rag_nodes.motion_inputs import ACTION_PARAMETERS, POSE_PARAMETERS
from spatial_rag_nodes.parameters import NodeParameters, Parameter

_DAY_SEC = 86_400.0
_ADMISSION_PARAMETERS = (
    Parameter('min_travel_m', 0.05, 'A frame is remembered where the robot has moved so far '
              'since the last memory; 0: off', 'm', 0.0, 1000.0, live=True),
    Parameter('min_turn_deg', 2.0, 'or has turned so far; 0: off', 'deg', 0.0, 180.0, live=True),
    Parameter('min_novelty', 0.0, 'or sees what is so far from all memories made at this spot, '
              'L2 distance of latents; 0: off. With all three off each frame is remembered', '',
              0.0, 1e6, live=True),
    Parameter('max_interval_sec', 600.0, 'A frame is remembered in any case so long after the '
              'last memory; 0: off', 's', 0.0, 10 * _DAY_SEC, live=True),
    Parameter('min_interval_sec', 0.0, 'and never sooner than this after it', 's',
              0.0, _DAY_SEC, live=True),
)


def declared(settings: Settings) -> tuple[Parameter, ...]:
    """All of them."""
    return (
        *shared_parameters.START,
        shared_parameters.MEMORY_PATH,
        shared_parameters.z_dim(settings),
        shared_parameters.action_dim(settings),
        *POSE_PARAMETERS,
        *ACTION_PARAMETERS,
        Parameter('motion_window_sec', 0.2, 'For action_source motion: the action is the mean '
                  'motion over so long before a frame; the step_sec of the model, as in training',
                  's', 0.01, 5.0),
        Parameter('pose_wait_sec', 0.2, 'How long a latent waits for the pose after it', 's',
                  0.0, 10.0),
        *_ADMISSION_PARAMETERS,
        Parameter('capacity', 0, 'Memories kept at most; beyond it the most redundant are '
                  'forgotten; 0: unlimited', '', 0, MAX_CAPACITY, live=True),
        Parameter('durability', 'process', 'What a stored memory survives: the death of the '
                  'process, or also a cut of power', choices=('process', 'power')),
        Parameter('commit_period_sec', 0.0, 'Memories are gathered so long before they are '
                  'written, for media that wear out; 0: at once', 's', 0.0, 60.0),
        Parameter('disk_reserve_mb', 500.0, 'Diagnostics warn where less is left on the disk of '
                  'the memory file; 0: never', 'MB', 0.0, 1e9, live=True),
        Parameter('h3_resolution', 13, 'H3 resolution of the cells', '', 0, 15),
        Parameter('datum_latitude_deg', 0.0, 'Where the map origin lies', 'deg', -90.0, 90.0),
        Parameter('datum_longitude_deg', 0.0, 'Where the map origin lies', 'deg', -180.0, 180.0),
        Parameter('datum_heading_deg', 0.0, 'From east to the map x axis, counter-clockwise',
                  'deg', -360.0, 360.0),
        Parameter('robot', '', 'Name of this robot, written into each memory'),
        Parameter('map_id', '', 'Name of the map, written into each memory'),
        Parameter('session', '', 'Name of this episode; empty: a new one is made up'),
        Parameter('labels', '', 'Words written into each memory, separated by commas'),
    )


def journal_spec(parameters: NodeParameters) -> JournalSpec:
    """Return what all memories of the file share."""
    return JournalSpec(**{name: parameters[name] for name in (
        'z_dim', 'action_dim', 'h3_resolution', 'datum_latitude_deg', 'datum_longitude_deg',
        'datum_heading_deg', 'map_frame')})


def writer_config(parameters: NodeParameters) -> WriterConfig:
    """Return how memories are made."""
    labels = (word.strip() for word in parameters['labels'].split(','))
    return WriterConfig(parameters['robot'], parameters['map_id'], parameters['session'],
                        tuple(label for label in labels if label), parameters['pose_wait_sec'])


def admission_config(parameters: NodeParameters) -> AdmissionConfig:
    """Return which frames are remembered."""
    return AdmissionConfig(**{field.name: parameters[field.name]
                              for field in fields(AdmissionConfig)})
