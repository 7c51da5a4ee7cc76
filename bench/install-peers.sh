#!/usr/bin/env bash
# Installs the gateways we compare ourselves to, each in a virtual environment of its own (two of them bring a command
# of the same name). Goes to .bench/, which git ignores. nginx comes from the system's packages.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${POINTSMAN_PEERS:-.bench/peers}
mkdir -p "$dir"
for peer in smg==1.13.0 sglang-router==0.3.2 vllm-router==0.1.17; do
  name=${peer%%==*}
  [ -x "$dir/$name/bin/python" ] || python3 -m venv "$dir/$name"
  "$dir/$name/bin/pip" -q install "$peer"
  echo "$peer installed"
done
command -v nginx >/dev/null || echo "nginx is not installed: it will be left out"
