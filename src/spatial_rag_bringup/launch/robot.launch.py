"""Encoder, memory writer, retriever, transition predictor and visualizer on a robot."""

from spatial_rag_bringup import launch_arguments
from spatial_rag_bringup.launch_actions import declare, include, process, with_values
from spatial_rag_bringup.robot_plan import plan_robot

from launch import LaunchDescription
from launch.actions import LogInfo


def generate_launch_description():
    return LaunchDescription([*declare(launch_arguments.ROBOT), with_values(start)])


def start(values):
    plan = plan_robot(values)
    respawn = values['respawn'] == 'true'
    return [*(LogInfo(msg=remark) for remark in plan.remarks),
            *(process(node, values['log_level'], respawn) for node in plan.nodes),
            *([include('rviz.launch.py')] if values['rviz'] == 'true' else [])]
