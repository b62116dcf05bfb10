from glob import glob

from setuptools import find_packages, setup

package_name = 'spatial_rag_bringup'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/launch', glob('launch/*.launch.py')),
        ('share/' + package_name + '/config', glob('config/*.yaml')),
        ('share/' + package_name + '/security', glob('security/*.xml')),
        ('share/' + package_name + '/models', glob('models/*')),
        ('share/' + package_name + '/rviz', glob('rviz/*.rviz')),
    ],
    install_requires=['setuptools'],
    zip_safe=True,
    maintainer='Spatial-RAG maintainers',
    maintainer_email='maintainers@spatial-rag.org',
    description='Starts Spatial-RAG: launch files, parameters, and a runner without ROS launch.',
    license='Apache-2.0',
    entry_points={'console_scripts': ['run_stack = spatial_rag_bringup.run_stack:main']},
)
