"""A recording through all that robot.launch.py starts, on the recording's own time."""

from spatial_rag_bringup import launch_arguments
from spatial_rag_bringup.launch_actions import (
    declare,
    include,
    process,
    set_values,
    with_values,
)
from spatial_rag_bringup.launch_arguments import number
from spatial_rag_bringup.replay_plan import plan_replay

from launch import LaunchDescription
from launch.actions import LogInfo, Shutdown, TimerAction


def generate_launch_description():
    return LaunchDescription([*declare(launch_arguments.REPLAY), with_values(play),
                              include('robot.launch.py')])


def play(values):
    plan = plan_replay(values)
    player = process(plan.player, {'log_level': values.get('log_level', 'info'), 'enclaves': ''},
                     on_exit=Shutdown(reason='the recording has been played'))
    if isinstance(plan.player, tuple):
        player = TimerAction(period=number(values, 'start_delay_sec', float), actions=[player])
    return [LogInfo(msg=plan.remark), *set_values(plan.robot), player]
