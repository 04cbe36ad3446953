#!/usr/bin/env bash
# Installs NVIDIA's mock driver, the device plugin and KWOK on the cluster that KUBECONFIG names.
# Not run yet on a machine with a container engine: see docs/cloud.md.
set -euo pipefail
KWOK=v0.8.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git clone --quiet --depth 1 https://github.com/NVIDIA/k8s-test-infra "$work/mock"
helm upgrade --install nvml-mock "$work/mock/deployments/nvml-mock/helm/nvml-mock" \
    --namespace nvidia --create-namespace --wait --timeout 5m
helm repo add nvdp https://nvidia.github.io/k8s-device-plugin --force-update
helm upgrade --install device-plugin nvdp/nvidia-device-plugin --namespace nvidia --wait --timeout 5m

release=https://github.com/kubernetes-sigs/kwok/releases/download/$KWOK
kubectl apply -f "$release/kwok.yaml"
kubectl apply -f "$release/stage-fast.yaml"
kubectl rollout status --namespace kube-system deployment/kwok-controller --timeout 5m
