#!/usr/bin/env bash
# Makes a working Spatial-RAG of a fresh clone: .venv with what is missing, then the colcon build.
#
#   scripts/setup.sh            set up and build; does nothing where nothing changed
#   scripts/setup.sh --build    the same, but run colcon in any case
#   scripts/setup.sh --quiet    say nothing where nothing is to be done
#
# PYTHON=python3.12 picks the interpreter, ROS_DISTRO=kilted the distribution.  With ROS
# installed, its Python packages are used; without, ROS comes as wheels (requirements/).
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
LOG=$ROOT/log/setup.log
BUILD_STAMP=$ROOT/install/.built
WHEEL_DISTROS='jazzy kilted'
APT_PACKAGES='cmake g++ make python3-dev python3-venv'
NEEDED_MB=3000
NEEDED_WITH_CUDA_MB=10000  # PyTorch's default wheel brings CUDA

force_build=false quiet=false
for argument in "$@"; do
  case $argument in
    --build) force_build=true ;;
    --quiet) quiet=true ;;
    *) echo "setup.sh: unknown argument '$argument'; it takes --build and --quiet" >&2; exit 2 ;;
  esac
done

fail() {  # message, remedy
  printf 'Set-up stopped: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  Remedy: %s\n' "$2" >&2
  exit 1
}

# What an earlier set-up chose; it stands until ROS_DISTRO or PYTHON say otherwise.
chosen() { sed -n "s/^$1=//p" "$VENV/identity" 2>/dev/null || true; }

# An installed ROS where there is one, sourced or not; else wheels.
find_ros() {
  local prefix prefixes=${AMENT_PREFIX_PATH:-} chosen_prefix=''
  ros=wheels ros_prefix=''
  distro=${ROS_DISTRO:-$(chosen ros_distro)}
  distro=${distro:-jazzy}
  for prefix in ${prefixes//:/ }; do
    # A virtual environment with the wheels, of this clone or another, is no installation.
    if [ -e "$prefix/share/rclpy/package.xml" ] && [ ! -e "$prefix/pyvenv.cfg" ]; then
      ros=system ros_prefix=$prefix
    fi
  done
  [ "$distro" != "$(chosen ros_distro)" ] || chosen_prefix=$(chosen ros_prefix)
  for prefix in "$chosen_prefix" "/opt/ros/$distro"; do
    if [ $ros = wheels ] && [ -e "$prefix/setup.bash" ]; then
      ros=system ros_prefix=$prefix
      set +u
      # shellcheck disable=SC1090,SC1091
      . "$ros_prefix/setup.bash"
      set -u
    fi
  done
  if [ $ros = wheels ]; then
    case " $WHEEL_DISTROS " in
      *" $distro "*) ;;
      *) fail "ROS 2 '$distro' is not installed; wheels exist for ${WHEEL_DISTROS/ / and } only" \
              'install it, or leave ROS_DISTRO unset (jazzy)' ;;
    esac
    # Left by another clone's env.sh, they would show in this one.
    unset PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
  fi
}

python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

is_supported() {
  case $(python_version "$1") in 3.10 | 3.11 | 3.12 | 3.13) ;; *) return 1 ;; esac
  # An installed ROS works with the Python that it was built for.
  [ $ros = wheels ] || "$1" -c 'import rclpy' 2>/dev/null
}

describe_python() {
  local version
  if ! version=$(python_version "$1"); then
    echo 'no Python that runs'
  elif [ $ros = system ]; then
    echo "Python $version without the rclpy of $ros_prefix"
  else
    echo "Python $version"
  fi
}

find_python() {
  local candidate
  python=''
  for candidate in ${PYTHON:-$(chosen python) python3 /usr/bin/python3 \
    python3.12 python3.11 python3.13 python3.10}; do
    if is_supported "$candidate"; then
      # Not a virtual environment's own, which may be the one to be replaced.
      python=$("$candidate" -c 'import sys; print(sys._base_executable)')
      return
    fi
  done
  candidate=${PYTHON:-python3}
  fail "$candidate is $(describe_python "$candidate"); Python 3.10 to 3.13 is needed" \
    "PYTHON=/path/to/python3.12 picks another"
}

hash_of() { sha256sum | cut -c 1-16; }

# What the virtual environment was made of; another identity means a new one.
identity_now() {
  printf 'root=%s\npython=%s\npython_version=%s\nros=%s\nros_prefix=%s\nros_distro=%s\n' \
    "$ROOT" "$python" "$(python_version "$python")" "$ros" "$ros_prefix" "$distro"
}

requirements_now() { cat "$ROOT"/requirements/*.txt | hash_of; }

# What colcon copies or generates from; Python files are linked and need no new build.
sources_now() {
  (
    cd "$ROOT"
    find src \( -name package.xml -o -name setup.py -o -name setup.cfg -o -name CMakeLists.txt \
      -o -name '*.msg' -o -name '*.srv' -o -name '*.action' \) -print0 | sort -z \
      | xargs -0 sha256sum colcon.meta
    find src -path 'src/*/launch/*' -o -path 'src/*/config/*' -o -path 'src/*/rviz/*' \
      -o -path 'src/*/models/*' -o -path 'src/*/resource/*' -o -path 'src/*/*/__init__.py' \
      | grep -v __pycache__ | sort
    cat "$VENV/identity" 2>/dev/null
  ) | hash_of
}

check_machine() {
  local free_mb tool missing=''
  case $ROOT in *[[:space:]]*) fail "the path '$ROOT' holds a space, which colcon cannot take" \
    'clone into a folder without one' ;; esac
  for tool in cmake make c++; do
    command -v $tool >/dev/null || missing="$missing $tool"
  done
  [ -z "$missing" ] || fail "these build tools are missing:$missing" \
    "sudo apt install $APT_PACKAGES"
  "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv module" \
    "sudo apt install python3-venv (or python$(python_version "$python")-venv)"
  "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
    || fail "$python has no C headers (Python.h)" \
      "sudo apt install python3-dev (or python$(python_version "$python")-dev)"
  if [ $ros = wheels ] && [ "$(uname -s) $(uname -m)" != 'Linux x86_64' ]; then
    fail "ROS 2 comes as wheels for Linux x86_64 only, and this is $(uname -s) $(uname -m)" \
      "install ROS 2 $distro itself, then run this again"
  fi
  free_mb=$(df -Pm "$ROOT" | awk 'NR == 2 {print $4}')
  $same_venv || [ "$free_mb" -ge $needed_mb ] \
    || fail "$free_mb MB are free in $ROOT, and $needed_mb are needed" "$(more_room)"
}

# Another index than the default one is taken to serve PyTorch without CUDA.
has_own_index() {
  "$python" -m pip config list 2>/dev/null | grep -E 'index-url|find-links' >/dev/null
}

more_room() {
  echo 'free some space, or clone onto another disk'
  [ $needed_mb = $NEEDED_MB ] \
    || echo "  or:     PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU wheels>: $NEEDED_MB MB will do"
}

# Runs a step with its output in the log; says how long it took, or why it failed.
# (As a condition it runs without `set -e`: a step of several commands chains them.)
step() {
  local label=$1 started=$SECONDS
  shift
  printf '  %s ' "$label"
  printf '\n== %s\n' "$label" >>"$LOG"
  if "$@" >>"$LOG" 2>&1 </dev/null; then
    printf '(%d s)\n' $((SECONDS - started))
    return
  fi
  printf 'FAILED\n\nThe last lines of %s:\n' "$LOG"
  tail -n 20 "$LOG" | cut -c 1-200 | sed 's/^/  | /'
  fail "$label" "$(remedy)"
}

remedy() {
  local last
  last=$(tac "$LOG" | sed '/^== /q')
  case $last in
    *'No space left on device'*) echo "$needed_mb MB are needed; $(more_room)" ;;
    *'name resolution'* | *'Name or service'* | *NewConnectionError* | *ConnectTimeout* \
      | *'Read timed out'* | *'Network is unreachable'* | *ProxyError* | *'Max retries'*)
      echo 'the package index could not be reached; check network and proxy, then run it again' ;;
    *'No matching distribution'*)
      echo "no wheel fits $python on $(uname -m); PYTHON=… picks another (3.10 to 3.13)" ;;
    *) echo "see $LOG; 'make distclean setup' starts from nothing" ;;
  esac
}

make_venv() {
  local options=()
  [ $ros = wheels ] || options=(--system-site-packages)
  rm -rf "$VENV" "$ROOT/build" "$ROOT/install" \
    && "$python" -m venv "${options[@]}" "$VENV" \
    && touch "$VENV/COLCON_IGNORE" \
    && echo "$identity" >"$VENV/identity"
}

ros_wheels() {
  awk -F ';' -v distro="$distro" '
    { sub(/#.*/, ""); gsub(/[[:space:]]/, "") }
    $1 != "" && ($2 == "" || $2 == distro) { print "ros-" distro "-" $1 }
  ' "$ROOT/requirements/ros-wheels.txt"
}

install_packages() {
  local arguments=(-r "$ROOT/requirements/runtime.txt" -r "$ROOT/requirements/training.txt"
                   -r "$ROOT/requirements/api.txt" -r "$ROOT/requirements/dev.txt")
  if [ $ros = system ]; then
    # ROS's message packages are compiled against the NumPy that it came with.
    "$VENV/bin/python3" -c 'import numpy; print("numpy==" + numpy.__version__)' \
      >"$VENV/constraints.txt" || return
    arguments+=(-c "$VENV/constraints.txt")
    command -v colcon || arguments+=(colcon-common-extensions)
  else
    mapfile -t -O ${#arguments[@]} arguments < <(ros_wheels)
    arguments+=(-r "$ROOT/requirements/without-ros.txt")
  fi
  "$VENV/bin/python3" -m pip install --progress-bar off "${arguments[@]}"
}

# The wheels' CMake files name two folders of the machine that built them.
patch_wheels() {
  local include numpy_include
  include=$("$VENV/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("include"))') \
    && numpy_include=$("$VENV/bin/python3" -c 'import numpy; print(numpy.get_include())') \
    || return
  { grep -rlZ --include='*.cmake' /opt/python/cp "$VENV/share" || true; } | xargs -0r sed -i -E \
    -e "s|/opt/python/cp[^;\"]*/numpy/_?core/include|$numpy_include|g" \
    -e "s|/opt/python/cp[^;\"]*/include/python3\.[0-9]+|$include|g"
}

build() (
  export PATH=$VENV/bin:$PATH
  if [ $ros = wheels ]; then
    export AMENT_PREFIX_PATH=$VENV CMAKE_PREFIX_PATH=$VENV
    unset COLCON_PREFIX_PATH
  fi
  cd "$ROOT" || exit
  # colcon runs under the environment's own Python, which it writes into the executables.
  "$VENV/bin/python3" "$(command -v colcon)" --log-base log build --base-paths src \
    --symlink-install --event-handlers console_cohesion+ status- terminal_title- \
    desktop_notification- \
    --cmake-args -DCMAKE_BUILD_TYPE=Release -DPython3_EXECUTABLE="$VENV/bin/python3"
)

say_what_rosdep_has() {
  "$VENV/bin/python3" -c 'import cv2, cv_bridge, numpy, yaml' 2>/dev/null \
    || echo '  Some ROS packages are missing: rosdep install --from-paths src --ignore-src -y'
}

hint_at_cpu_torch() {
  if [ $needed_mb = $NEEDED_WITH_CUDA_MB ] && ! command -v nvidia-smi >/dev/null; then
    echo "  No GPU here: PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU wheels> saves gigabytes."
  fi
}

started=$SECONDS
mkdir -p "$ROOT/log"
touch "$ROOT/log/COLCON_IGNORE"
exec 9>"$ROOT/log/setup.lock"
flock -n 9 || { echo 'Waiting for another set-up of this clone …'; flock 9; }

find_ros
find_python
what="Python $(python_version "$python"), ROS 2 $distro from ${ros_prefix:-wheels}"
identity=$(identity_now)
requirements=$(requirements_now)

same_venv=false same_packages=false same_build=false
[ "$(cat "$VENV/identity" 2>/dev/null)" != "$identity" ] || same_venv=true
if $same_venv && [ "$(cat "$VENV/installed" 2>/dev/null)" = "$requirements" ]; then
  same_packages=true
fi
if $same_packages && ! $force_build && [ "$(cat "$BUILD_STAMP" 2>/dev/null)" = "$(sources_now)" ]
then
  same_build=true
fi

if $same_build; then
  $quiet || echo "Set up already: $what."
  exit 0
fi

: >"$LOG"
exec 3>&1
trap 'printf "\nSet-up interrupted; run it again, it goes on from here.\n" >&3; exit 130' INT
needed_mb=$NEEDED_WITH_CUDA_MB
if has_own_index; then needed_mb=$NEEDED_MB; fi
if ! $same_packages; then
  check_machine
  echo "Setting up with $what; details: $LOG"
  $same_venv || step 'virtual environment .venv' make_venv
  hint_at_cpu_torch
  step 'Python packages' install_packages
  if [ $ros = wheels ]; then step 'CMake files of the ROS wheels' patch_wheels; fi
  step 'import of rclpy' "$VENV/bin/python3" -c 'import rclpy'
  if [ $ros = system ]; then say_what_rosdep_has; fi
  echo "$requirements" >"$VENV/installed"
fi
step 'colcon build' build
sources_now >"$BUILD_STAMP"
if ! $same_packages; then
  echo "Ready after $((SECONDS - started)) s.  Next: make run, or: source scripts/env.sh"
fi
