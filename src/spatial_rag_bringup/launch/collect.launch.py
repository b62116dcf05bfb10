"""Records what a training needs: a bag, or episodes."""

from spatial_rag_bringup import launch_arguments
from spatial_rag_bringup.collect_plan import plan_collect
from spatial_rag_bringup.launch_actions import declare, process, with_values

from launch import LaunchDescription
from launch.actions import LogInfo, Shutdown


def generate_launch_description():
    return LaunchDescription([*declare(launch_arguments.COLLECT), with_values(record)])


def record(values):
    plan = plan_collect(values)
    return [LogInfo(msg=f'recording to {plan.output}'),
            process(plan.recorder, values,
                    on_exit=Shutdown(reason='the recorder has ended'))]
