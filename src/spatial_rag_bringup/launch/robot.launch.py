"""Encoder, memory writer, retriever, transition predictor and visualizer on a robot."""

from spatial_rag_bringup import launch_arguments
from spatial_rag_bringup.launch_actions import (
    declare,
    include,
    process,
    set_values,
    with_values,
)
from spatial_rag_bringup.robot_plan import plan_robot

from launch import LaunchDescription
from launch.actions import LogInfo


def generate_launch_description():
    return LaunchDescription([*declare(launch_arguments.ROBOT), with_values(start)])


def start(values):
    plan = plan_robot(values)
    respawn = values['respawn'] == 'true'
    rviz = [*set_values({'map_frame': plan.map_frame}), include('rviz.launch.py')]
    return [*(LogInfo(msg=remark) for remark in plan.remarks),
            *(process(node, values, respawn) for node in plan.nodes),
            *(rviz if values['rviz'] == 'true' else [])]
