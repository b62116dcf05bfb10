# syntax=docker/dockerfile:1
# Spatial-RAG on the official ROS 2 image, for amd64 and arm64; see docs/CONTAINERS.md.
#
#   base      ROS, and what a robot needs of PyPI: shared by all that follows
#   build     compilers and colcon; nothing of it is shipped but /opt/spatial_rag
#   runtime   base and the packages: a robot, reports
#   training  the same, and what data, trainings and recordings need
#
# PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU wheels> leaves CUDA out, several gigabytes;
# TORCH=<wheel or requirement> takes another PyTorch, NVIDIA's for a Jetson for instance.

ARG ROS_DISTRO=jazzy
ARG BASE_IMAGE=ros:${ROS_DISTRO}-ros-core

FROM ${BASE_IMAGE} AS base
ARG ROS_DISTRO
ARG PIP_EXTRA_INDEX_URL
ARG TORCH
ARG UID=1000
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# What the packages' package.xml name. The apt repository of ROS keeps newest versions only.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
      python3-numpy python3-opencv python3-venv python3-yaml \
      "ros-${ROS_DISTRO}-ament-index-python" \
      "ros-${ROS_DISTRO}-builtin-interfaces" \
      "ros-${ROS_DISTRO}-cv-bridge" \
      "ros-${ROS_DISTRO}-diagnostic-msgs" \
      "ros-${ROS_DISTRO}-geometry-msgs" \
      "ros-${ROS_DISTRO}-launch" \
      "ros-${ROS_DISTRO}-launch-ros" \
      "ros-${ROS_DISTRO}-lifecycle-msgs" \
      "ros-${ROS_DISTRO}-nav-msgs" \
      "ros-${ROS_DISTRO}-rcl-interfaces" \
      "ros-${ROS_DISTRO}-rclpy" \
      "ros-${ROS_DISTRO}-rmw-fastrtps-cpp" \
      "ros-${ROS_DISTRO}-ros2bag" \
      "ros-${ROS_DISTRO}-rosbag2-storage-mcap" \
      "ros-${ROS_DISTRO}-rosgraph-msgs" \
      "ros-${ROS_DISTRO}-rosidl-default-runtime" \
      "ros-${ROS_DISTRO}-sensor-msgs" \
      "ros-${ROS_DISTRO}-std-msgs" \
      "ros-${ROS_DISTRO}-tf2-msgs" \
      "ros-${ROS_DISTRO}-tf2-ros-py" \
      "ros-${ROS_DISTRO}-visualization-msgs" \
    && rm -rf /var/lib/apt/lists/*

# ROS's message packages are compiled against the NumPy that it came with: no other may be taken.
# PyTorch has a layer of its own, which stays when other versions change.
COPY requirements/runtime.txt /opt/requirements/
RUN python3 -m venv --system-site-packages /opt/venv \
    && python3 -c 'import numpy; print(f"numpy=={numpy.__version__}")' >/opt/venv/constraints.txt \
    && /opt/venv/bin/python3 -m pip install --no-cache-dir -c /opt/venv/constraints.txt \
      "${TORCH:-$(grep '^torch==' /opt/requirements/runtime.txt)}"
RUN grep -v '^torch==' /opt/requirements/runtime.txt >/opt/requirements/without_torch.txt \
    && /opt/venv/bin/python3 -m pip install --no-cache-dir -c /opt/venv/constraints.txt \
      -r /opt/requirements/without_torch.txt

COPY --chmod=755 <<'EOF' /spatial_rag_entrypoint.sh
#!/bin/bash
# ROS's own programs run under the system's Python, which is to find what /opt/venv holds.
set -e
source /opt/spatial_rag/setup.bash
for folder in /opt/venv/lib/python3.*/site-packages; do
  export PYTHONPATH=$folder${PYTHONPATH:+:$PYTHONPATH}
done
exec "$@"
EOF

RUN if id ubuntu; then userdel --remove ubuntu; fi \
    && useradd --uid "${UID}" --create-home robot \
    && install --directory --mode 0700 --owner robot --group robot /data
ENV PATH=/opt/spatial_rag/lib/spatial_rag_core:/opt/spatial_rag/lib/spatial_rag_nodes:/opt/spatial_rag/lib/spatial_rag_bringup:/opt/venv/bin:$PATH \
    ROS_HOME=/data \
    RMW_IMPLEMENTATION=rmw_fastrtps_cpp \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
VOLUME /data
WORKDIR /data
ENTRYPOINT ["/spatial_rag_entrypoint.sh"]

FROM base AS build
ARG ROS_DISTRO
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
      build-essential cmake python3-colcon-common-extensions python3-dev \
      "ros-${ROS_DISTRO}-ament-cmake" \
      "ros-${ROS_DISTRO}-rosidl-default-generators" \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /workspace
COPY colcon.meta ./
COPY src src
# Under the environment's own Python, which colcon writes into the programs.
RUN . "/opt/ros/${ROS_DISTRO}/setup.sh" \
    && /opt/venv/bin/python3 "$(command -v colcon)" build --base-paths src \
      --merge-install --install-base /opt/spatial_rag \
      --cmake-args -DCMAKE_BUILD_TYPE=Release -DPython3_EXECUTABLE=/opt/venv/bin/python3

FROM base AS runtime
ARG UID=1000
COPY --from=build /opt/spatial_rag /opt/spatial_rag
USER ${UID}

FROM base AS training
ARG UID=1000
COPY requirements/training.txt /opt/requirements/
RUN /opt/venv/bin/python3 -m pip install --no-cache-dir -c /opt/venv/constraints.txt \
      -r /opt/requirements/training.txt
COPY --from=build /opt/spatial_rag /opt/spatial_rag
USER ${UID}
