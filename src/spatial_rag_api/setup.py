from setuptools import find_packages, setup

package_name = 'spatial_rag_api'

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
    description='The memory and the world model of Spatial-RAG over HTTP; no ROS inside.',
    license='Apache-2.0',
    entry_points={'console_scripts': ['spatial_rag_api = spatial_rag_api.main:main']},
)
