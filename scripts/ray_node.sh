#!/usr/bin/env bash
# One node of a Ray cluster for engine=skyrl, from the repository's root on a file system that all nodes share.
#   scripts/ray_node.sh head             on the first machine; prints the address of the cluster
#   scripts/ray_node.sh join ADDRESS     on every other machine
#   scripts/ray_node.sh stop             on every machine, afterwards
# Then, on any of them: RAY_ADDRESS=ADDRESS .venv-skyrl/bin/python -m src.recruiter.main engine=skyrl …
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

ray=.venv-skyrl/bin/ray
[[ -x $ray ]] || { echo "There is no .venv-skyrl here; make it with: make skyrl-env" >&2; exit 1; }
port=${PORT:-6379}

case ${1:-} in
  head)
    $ray start --head --port="$port" --disable-usage-stats >/dev/null
    echo "The cluster is at $(hostname -I | cut -d' ' -f1):$port"
    ;;
  join)
    [[ -n ${2:-} ]] || usage
    $ray start --address="$2" --disable-usage-stats >/dev/null
    echo "Joined the cluster at $2"
    ;;
  stop) $ray stop ;;
  *) usage ;;
esac
