"""What pods ask for, in every notation, and what can't be read."""

import pytest

from lablib.errors import DemandError
from lablib.scheduling.demand import gpu_demand
from lablib.scheduling.model import Demand, Pod


def pod(resources=None, **annotations):
    keys = {"milli": "alibabacloud.com/gpu-milli", "count": "alibabacloud.com/gpu-count"}
    named = {keys.get(key, key.replace("_", "-")): value for key, value in annotations.items()}
    return Pod("p", "team", annotations=named, resources=resources or {})


GPU, MEMORY, CORES = "nvidia.com/gpu", "nvidia.com/gpumem", "nvidia.com/gpucores"


@pytest.mark.parametrize(
    ("pod", "gpus", "milli", "memory_mib"),
    [
        (pod(), 0, 0, 0),
        (pod({GPU: 2}), 2, 1000, 0),
        (pod({GPU: 1, MEMORY: 4096, CORES: 30}), 1, 300, 4096),
        (pod({GPU: 2, MEMORY: 4096}), 2, 0, 4096),
        (pod({GPU: 1, CORES: 100}), 1, 1000, 0),
        (pod(gpu_fraction="0.5"), 1, 500, 0),
        (pod(gpu_fraction="1"), 1, 1000, 0),
        (pod(gpu_memory="2000"), 1, 0, 2000),
        (pod(milli="460"), 1, 460, 0),
        (pod(milli="460", count="2"), 2, 460, 0),
        (pod({"lab/gpu-milli": 460}, milli="460"), 1, 460, 0),
        (pod({"lab/gpu-milli": 1000, GPU: 1}), 1, 1000, 0),
    ],
)
def test_each_notation_is_read(pod, gpus, milli, memory_mib):
    assert gpu_demand(pod) == Demand(gpus=gpus, gpu_milli=milli, gpu_memory_mib=memory_mib)


def test_the_rest_of_the_request_comes_along():
    models = frozenset({"H100"})
    asked = Pod("p", cpu_milli=4000, memory_mib=512, resources={GPU: 1}, gpu_models=models)
    assert gpu_demand(asked) == Demand(4000, 512, 1, 1000, gpu_models=models)


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (pod({GPU: 1}, milli="500"), "two notations"),
        (pod(gpu_fraction="0.5", milli="500"), "two notations"),
        (pod({MEMORY: 100}), "nvidia.com/gpu is 'nothing'"),
        (pod({GPU: 1, CORES: 101}), "nvidia.com/gpucores is '101'"),
        (pod({GPU: -1}), "nvidia.com/gpu is '-1'"),
        (pod({GPU: 100_000}), "nvidia.com/gpu is '100000'"),
        (pod(gpu_fraction="1.5"), "gpu-fraction is '1.5'"),
        (pod(gpu_fraction="0"), "gpu-fraction is '0'"),
        (pod(gpu_fraction="nan"), "gpu-fraction is 'nan'"),
        (pod(gpu_fraction="inf"), "gpu-fraction is 'inf'"),
        (pod(gpu_fraction="half"), "gpu-fraction is 'half'"),
        (pod(gpu_fraction="0.5", gpu_memory="100"), "gpu-memory is '100'"),
        (pod(gpu_memory="-5"), "gpu-memory is '-5'"),
        (pod(milli="0"), "gpu-milli is '0'"),
        (pod(milli="1001"), "gpu-milli is '1001'"),
        (pod(milli="²"), "gpu-milli is '²'"),
        (pod(milli="9" * 5000), "gpu-milli is"),
        (pod(milli="500", count="0"), "gpu-count is '0'"),
        (pod(count="2"), "gpu-milli is 'nothing'"),
    ],
)
def test_what_cannot_be_is_refused_with_pod_key_and_value(pod, words):
    with pytest.raises(DemandError) as caught:
        gpu_demand(pod)
    assert words in caught.value.what
    assert caught.value.where == "pod team/p"
    assert caught.value.remedy
