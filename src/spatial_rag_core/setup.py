from setuptools import find_packages, setup

package_name = 'spatial_rag_core'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    zip_safe=True,
    maintainer='Spatial-RAG maintainers',
    maintainer_email='maintainers@spatial-rag.org',
    description='A place memory for robots and the world model that uses it; no ROS inside.',
    license='Apache-2.0',
    entry_points={'console_scripts': ['spatial-rag = spatial_rag_core.cli:main']},
)
