from setuptools import find_packages, setup

package_name = 'spatial_rag_nodes'
executables = ['encoder_node', 'memory_writer_node', 'retriever_node',
               'transition_predictor_node', 'composed', 'simulated_robot_node',
               'bag_replay_node', 'episode_recorder_node', 'visualizer_node']

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    zip_safe=True,
    maintainer='Spatial-RAG maintainers',
    maintainer_email='maintainers@spatial-rag.org',
    description='The ROS 2 nodes of Spatial-RAG: encoder, memory writer, retriever, predictor.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            f'{name} = spatial_rag_nodes.executables:{name}' for name in executables],
    },
)
