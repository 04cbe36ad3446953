#!/usr/bin/env bash
# Prepares the GPU workers of the cluster that KUBECONFIG names, and installs the device plugin.
# Not run yet on a machine with a container engine: see docs/cloud.md.
set -euo pipefail
helm repo add nvdp https://nvidia.github.io/k8s-device-plugin --force-update
helm upgrade --install device-plugin nvdp/nvidia-device-plugin \
    --namespace nvidia --create-namespace --set gfd.enabled=true --wait --timeout 10m
