"""A simulated robot, and all that robot.launch.py starts."""

from spatial_rag_bringup import launch_arguments
from spatial_rag_bringup.launch_actions import declare, include, process, with_values
from spatial_rag_bringup.robot_plan import plan_simulated_robot

from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription([*declare(launch_arguments.SIM), include('robot.launch.py'),
                              with_values(start)])


def start(values):
    return [process(plan_simulated_robot(values), values)]
