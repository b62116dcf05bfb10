"""RViz with all that the visualizer shows."""

from spatial_rag_bringup.launch_actions import declare, with_values
from spatial_rag_bringup.launch_arguments import (
    Argument,
    LOG_LEVEL,
    NAMESPACE,
    SIM_TIME,
    TRANSFORMS,
)

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch_ros.actions import Node

ARGUMENTS = (
    NAMESPACE,
    SIM_TIME,
    Argument('rviz_config', '', 'What RViz shows; empty: rviz/spatial_rag.rviz of this package'),
    Argument('map_frame', '', 'Frame that the memory is in; empty: map'),
    Argument('pose_topic', 'pose', 'Poses in the map (geometry_msgs/PoseStamped)'),
    *TRANSFORMS,
    LOG_LEVEL,
)


def generate_launch_description():
    return LaunchDescription([*declare(ARGUMENTS), with_values(start)])


def start(values):
    share = get_package_share_directory('spatial_rag_bringup')
    return [Node(
        package='rviz2', executable='rviz2', name='rviz', namespace=values['namespace'],
        output='screen', parameters=[{'use_sim_time': values['use_sim_time'] == 'true'}],
        remappings=[('pose', values['pose_topic']), ('/tf', values['tf_topic']),
                    ('/tf_static', values['tf_static_topic'])],
        arguments=['-d', values['rviz_config'] or f'{share}/rviz/spatial_rag.rviz',
                   '-f', values['map_frame'] or 'map'],
        ros_arguments=['--log-level', values['log_level']])]
