# Source this from bash or zsh, in any directory and as often as you like: python, the packages
# and their executables (spatial-rag, encoder_node, run_stack, …) then work in that shell.

_spatial_rag_complain() {
  printf 'Spatial-RAG: %s\n' "$1" >&2
  return 1
}

# Prepends a folder to a list of paths, unless it is there already.
_spatial_rag_add() {  # variable, folder
  local list
  eval "list=\${$1:-}"
  case ":$list:" in
    *":$2:"*) ;;
    *) eval "export $1=\"\$2\${list:+:\$list}\"" ;;
  esac
}

# Puts a folder in front of PATH, from wherever in it it was.
_spatial_rag_first() {  # folder
  local list=":$PATH:"
  list=${list//":$1:"/:}
  list=${list#:}
  export PATH="$1:${list%:}"
}

_spatial_rag_env() {  # root of the clone, shell
  local venv=$1/.venv shell=$2 ros='' ros_prefix='' ros_distro='' made_in='' key value folder

  if [ ! -e "$venv/installed" ] || [ ! -e "$1/install/.built" ]; then
    _spatial_rag_complain "not set up yet: run 'make setup' in $1"
    return 1
  fi
  while IFS='=' read -r key value; do
    case $key in
      root) made_in=$value ;;
      ros) ros=$value ;;
      ros_prefix) ros_prefix=$value ;;
      ros_distro) ros_distro=$value ;;
    esac
  done <"$venv/identity"
  if [ "$made_in" != "$1" ]; then
    _spatial_rag_complain "was set up in $made_in and moved: run 'make setup' in $1"
    return 1
  fi

  if [ "$ros" = system ]; then
    case ":${AMENT_PREFIX_PATH:-}:" in
      *":$ros_prefix:"*) ;;
      *)
        if [ ! -e "$ros_prefix/setup.$shell" ]; then
          _spatial_rag_complain "ROS has left $ros_prefix: run 'make setup' in $1"
          return 1
        fi
        . "$ros_prefix/setup.$shell"
        ;;
    esac
  else
    export ROS_DISTRO=$ros_distro ROS_VERSION=2 ROS_PYTHON_VERSION=3
    export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
    _spatial_rag_add AMENT_PREFIX_PATH "$venv"
    _spatial_rag_add CMAKE_PREFIX_PATH "$venv"
    # The wheels' bootstrapper starts every Python twice, unless it finds its libraries set.
    for folder in "$venv"/lib/python3.*/site-packages/ros_*.libs "$venv/lib"; do
      _spatial_rag_add LD_LIBRARY_PATH "$folder"
    done
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
  fi

  . "$1/install/local_setup.$shell"
  for folder in "$1"/install/*/lib/*; do
    if [ "$folder" = "$1/install/${folder##*/}/lib/${folder##*/}" ]; then
      _spatial_rag_first "$folder"
    fi
  done
  _spatial_rag_first "$venv/bin"
  export VIRTUAL_ENV=$venv
}

# ROS's and colcon's scripts read variables that are not set; `set -u` comes back afterwards.
case $- in *u*) _spatial_rag_nounset=true ;; *) _spatial_rag_nounset=false ;; esac
set +u
_spatial_rag_status=0
if [ -n "$ZSH_VERSION" ]; then
  eval '_spatial_rag_file=${(%):-%x}'
  _spatial_rag_shell=zsh
else
  _spatial_rag_file=${BASH_SOURCE[0]}
  _spatial_rag_shell=bash
fi
_spatial_rag_env "$(cd "$(dirname "$_spatial_rag_file")/.." >/dev/null && pwd)" \
  "$_spatial_rag_shell" || _spatial_rag_status=$?
unset -f _spatial_rag_env _spatial_rag_add _spatial_rag_first _spatial_rag_complain
unset _spatial_rag_file _spatial_rag_shell
if $_spatial_rag_nounset; then set -u; fi
unset _spatial_rag_nounset
# The status survives the clean-up.
if [ "$_spatial_rag_status" -ne 0 ]; then unset _spatial_rag_status; return 1; fi
unset _spatial_rag_status
