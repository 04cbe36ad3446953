#!/usr/bin/env bash
# On a cloud machine with an NVIDIA GPU: set up, and serve the labs on loopback. From your own machine:
#   ssh -L 8888:127.0.0.1:8888 MACHINE 'cd ai-platform-lab && clusters/cloud/lab.sh'
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 lablib/bootstrap.py --cuda
.venv/bin/lablib doctor || true
exec .venv/bin/lablib lab open 00 --no-browser
