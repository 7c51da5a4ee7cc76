#!/usr/bin/env bash
# build.sh FILE: builds Kubernetes' API server from its Go module, which takes some six minutes of one core and 100 MB. The tests also need etcd (Debian: etcd-server).
set -euo pipefail
file=$(realpath -m "${1:?name the file to build}")
cd "$(dirname "$0")"
go build -ldflags="-s -w" -o "$file" .
echo "POINTSMAN_KUBE_APISERVER=$file"
