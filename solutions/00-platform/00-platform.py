# %% [markdown]
# # 00 · The platform on your desk
#
# It is Monday, and the GPU platform is yours now. People train on it, people serve models from it, and
# everybody says it is slow. Nobody can say why. There is an article that promises answers: utilisation
# from 30 to 90 %, training that never dies, chips that never throttle. You have read it twice. It has
# no measurements.
#
# So you will make some. This lab puts a whole platform on your desk, in less than an hour and with no theory:
#
# - a Kubernetes control plane: the same programs that run in a data centre, as processes on this machine;
# - a handful of nodes with GPUs, played by KWOK, so that you can have sixty of them on a laptop;
# - GPU sensors, read through NVIDIA's own bindings;
# - a Ray task that outlives the death of its worker;
# - a language model served by vLLM, with its memory laid open.
#
# ![You talk to the API server, and so does everybody else: the scheduler, the controller manager and the nodes. Behind it etcd remembers everything. Beside it, on the same desk, NVML, Ray and vLLM run for real.](platform.svg)
#
# **The article says** that chips throttle silently at 85 degrees. Keep that number in mind. You will meet
# it at the end of part 2.
#
# ## How a lab works
#
# Every part goes through the same steps.
#
# | step | what you do |
# |---|---|
# | **Predict** | write down a number before you know it. Wrong is fine, and often the best part |
# | **Build** | write a function of a few lines. Its docstring says all you need |
# | **Check** | run one cell. It says what is right, or on which input your answer fails |
# | **Measure** | use what you built on the running platform |
# | **Break** | do something unkind to it and watch |
#
# A cell runs with Shift+Enter. You can't harm anything. What you start here ends with this notebook. And you can go on when you are
# stuck: later parts then use our version of your function, and say so.

# %%
from lablib.grading.notebook import open_lab

check, predict, ledger = open_lab("00-platform")

# %% [markdown]
# ## 1 · A cluster of your own
#
# The next cell starts five programs: **etcd**, which remembers; the **API server**, the only door to
# what it remembers; the **scheduler**; the **controller manager**; and **KWOK**, which plays the nodes.
# Only KWOK's nodes are pretend. The other four can't tell the difference. It takes about five seconds.

# %%
from lablib.cluster.backends import open_cluster
from lablib.cluster.pools import NodePool

cluster = open_cluster(
    "lab-00", [NodePool("H100", nodes=3), NodePool("T4", nodes=2, gpus=4)]
)
cluster.up(print)
client = cluster.client()
[node.name for node in client.nodes()]

# %% [markdown]
# Give it something to do. A *pod* is what Kubernetes runs. It says what it needs, and the scheduler finds
# a node. These eight ask for GPUs.

# %%
from lablib.cluster.convert import pod_manifest
from lablib.cluster.wait import wait_until
from lablib.scheduling.model import Pod

for number, gpus in enumerate([6, 6, 6, 4, 4, 1, 2, 8]):
    client.create(
        pod_manifest(
            Pod(
                f"train-{number}",
                cpu_milli=4000,
                resources={"nvidia.com/gpu": gpus},
            )
        )
    )

answered = wait_until(
    client, lambda listing: all(pod.node or pod.reason for pod in listing.pods)
)
for pod in answered.pods:
    gpus = pod.resources["nvidia.com/gpu"]
    print(
        f"{pod.name} asks for {gpus}: {pod.node or pod.reason.partition('. ')[0]}"
    )

# %% [markdown]
# **Predict.** Thirty-two GPUs, and the eight pods above. How many GPUs are free in all? Put a number in
# place of the dots.

# %%
predict("1.1", free=...)

# %% [markdown]
# And here it is, the **cluster map**. Nodes are rows, GPUs are boxes. A box fills with what runs on it.
# You will see this picture in every lab.

# %%
from lablib.plots.map import cluster_map
from lablib.scheduling.report import assign

cluster_map(assign(answered.nodes, answered.pods))

# %% [markdown]
# ### 1.1 Count them yourself
#
# How many GPUs are free on each node? Your own count, from what the API server says.
#
# **Build** `gpus_by_node(client)`. Two calls are all you need: `client.nodes()` and `client.pods()`.


# %% exercise="1.1"
def gpus_by_node(client):
    """GPUs of every node: {name: (capacity, allocated, free)}.

    A node has    .name
                  .resources: what can be given out, e.g. {"nvidia.com/gpu": 8}
    A pod has     .node: the name of its node, None while it waits for one
                  .phase: "Pending", "Running", "Succeeded" or "Failed"
                  .resources: what it asks for, e.g. {"nvidia.com/gpu": 2}

    A pod holds its GPUs from the moment it is bound to a node until it has ended.
    """
    ### BEGIN SOLUTION
    allocated = {node.name: 0 for node in client.nodes()}
    for pod in client.pods():
        if pod.node in allocated and pod.phase in ("Pending", "Running"):
            allocated[pod.node] += pod.resources.get("nvidia.com/gpu", 0)
    counts = {}
    for node in client.nodes():
        capacity = node.resources.get("nvidia.com/gpu", 0)
        counts[node.name] = (
            capacity,
            allocated[node.name],
            capacity - allocated[node.name],
        )
    return counts
    ### END SOLUTION


# %% check="1.1" points=2
check.e1_1(gpus_by_node)

# %% [markdown]
# **Measure.** Yours, on the running cluster. (If yours isn't finished, ours steps in and says so. That
# holds for every lab: you can always go on.)

# %%
count = check.best("1.1", gpus_by_node)
table = count(client)
for name, (capacity, allocated, free) in table.items():
    print(f"{name}: {capacity} GPUs, {allocated} allocated, {free} free")
print("free in all:", sum(free for _, _, free in table.values()))

# %% [markdown]
# **Break.** Kill the scheduler. Not with a mouse click: with signal 9.

# %%
import os
import signal

scheduler = [
    part for part in cluster.status().components if part.name == "kube-scheduler"
]
for part in scheduler:  # none on a cluster that isn't ours to break
    os.kill(part.pid, signal.SIGKILL)
client.create(pod_manifest(Pod("orphan", resources={"nvidia.com/gpu": 1})))
orphan = client.pod("orphan")
print(f"the new pod is {orphan.phase} and sits on {orphan.node or 'no node'}")
for part in cluster.status().components:
    print(part.name, part.state, part.detail)

# %% [markdown]
# Look at what did *not* happen. The pods that ran still run. The API server answered. Only new pods wait,
# and nobody has lost anything: the wish "one pod called orphan" is in etcd, and it is patient. That is
# the idea the whole platform is built on. Bring the scheduler back and watch.

# %%
cluster.up(print)
found = wait_until(
    client, lambda listing: all(pod.node or pod.reason for pod in listing.pods)
)
print("orphan now sits on", client.pod("orphan").node)

# %% [markdown]
# ## 2 · What a GPU says about itself
#
# Every NVIDIA GPU tells its temperature, its clocks, and *why* its clocks are low, through a library called
# NVML. You read it through NVIDIA's own Python bindings. Where this machine has no GPU, a simulated
# driver answers below them: the calls are the same.

# %%
from lablib.clock import ManualClock
from lablib.gpu.nvml import open_telemetry
from lablib.gpu.simulation import Change, SimulatedGpu

with open_telemetry() as telemetry:
    print("These readings come from", telemetry.source)
    for device in range(telemetry.count()):
        sample = telemetry.sample(device)
        print(f"  {sample.model}: {sample.temperature_celsius} degrees,", end=" ")
        print(f"{sample.clock_mhz} MHz")

# %% [markdown]
# ### 2.1 How far is it from slowing down?
#
# A temperature alone says little. 84 degrees: is that bad? It depends on the GPU. Each model has a temperature
# of its own, from which on the driver takes clocks away.
#
# **Predict.** An H100 starts to slow down at 87 degrees. It is at 70 now. What margin has it?

# %%
predict("2.1", margin=...)

# %% [markdown]
# **Build** `thermal_margin(sample)`: the one number that means the same on every GPU.


# %% exercise="2.1"
def thermal_margin(sample):
    """Degrees Celsius left before this GPU slows down; negative when past that.

    sample.margin_celsius          what the driver itself says, or None
    sample.temperature_celsius     now
    sample.max_operating_celsius   from here on the driver takes clocks away, or None
    sample.slowdown_celsius        from here on the hardware halves them, or None

    Where the driver doesn't tell the margin, one of the last two is known.
    """
    ### BEGIN SOLUTION
    if sample.margin_celsius is not None:
        return sample.margin_celsius
    thresholds = [sample.max_operating_celsius, sample.slowdown_celsius]
    return (
        min(limit for limit in thresholds if limit is not None)
        - sample.temperature_celsius
    )
    ### END SOLUTION


# %% check="2.1" points=2
check.e2_1(thermal_margin)

# %% [markdown]
# **Measure.** Three GPUs under full load, in air that is far too warm: 58 degrees. This part is simulated
# everywhere, since nobody should try it on a real one. A minute of GPU time takes no time here: the
# driver goes by a clock of our own.
#
# **Predict.** At how many degrees will each of them slow down?

# %%
predict("2.2", A100=..., H100=..., T4=...)

# %%
from lablib.gpu.driver import SimulatedDriver
from lablib.gpu.nvml import nvml
from lablib.plots.charts import lines

margin = check.best("2.1", thermal_margin)
names, seconds = ["A100-80", "H100", "T4"], list(range(181))
gpus = [
    SimulatedGpu(name, [Change(10, utilization=1.0)], ambient_celsius=58)
    for name in names
]
clock = ManualClock()
samples = {name: [] for name in names}
with SimulatedDriver(gpus, clock), nvml() as telemetry:
    for _ in seconds:
        for device, name in enumerate(names):
            samples[name].append(telemetry.sample(device))
        clock.sleep(1)

lines(
    seconds,
    {name: [margin(sample) for sample in samples[name]] for name in names},
    labels=("seconds", "margin, degrees"),
    alt="Margins of three GPUs under load fall from 25 degrees to zero and stay there.",
)

# %% [markdown]
# They stop at zero. Who stops them? Look at the clocks.

# %%
throttled_at = {}
for name in names:
    first = next(sample for sample in samples[name] if sample.throttled)
    last = samples[name][-1]
    throttled_at[name] = first.temperature_celsius
    lost = 1 - last.clock_mhz / last.max_clock_mhz
    held = last.thermal_violation_ns / 1e9
    print(f"{name}: slowed down from {first.temperature_celsius} degrees")
    print(f"    clock {lost:.0%} lower after three minutes")
    print(
        f"    it says why: {', '.join(last.reasons)}; held down for {held:.0f} s in all"
    )

# %% [markdown]
# Now the article's claim: *"chips throttle silently at 85 degrees"*. The thresholds differ from model to
# model, and the GPU says the reason and counts the nanoseconds. (Published thresholds, degrees: A100 85,
# H100 87, T4 89; NVIDIA's data sheets and mock-driver profiles. What is true about "silently":
# the usual exporter's default list leaves that counter out.)
#
# Each lab ends its claims like this, in the **ledger**.

# %%
ledger(
    "Chips throttle silently at 85 degrees",
    predicted="2.2",
    measurement="; ".join(
        f"{name} from {celsius}" for name, celsius in throttled_at.items()
    )
    + " degrees (simulated)",
    literature="published: 85 (A100), 87 (H100), 89 (T4); NVML has reason and counter",
    verdict="does not hold",
)

# %% [markdown]
# ## 3 · Work that outlives its worker
#
# **Ray** runs Python functions in other processes, on one machine or on a thousand. This task counts to six.
# After the third step we kill its process.

# %%
from lablib.faults.controller import LocalRay, count_through_a_kill

with LocalRay(say=print):
    story = count_through_a_kill(steps=6, kill_after=3)
print(story)

# %% [markdown]
# It ended, and the result is right. But read it again: steps 1 to 3 ran **twice**. Ray knows that the worker
# died. It can't know what the worker had done. If step 2 had sent an e-mail, somebody has two.
# This is called *at least once*, and lab 04 is about living with it.
#
# ## 4 · The memory of a language model
#
# **vLLM** serves language models. For every token that it has read, it keeps two vectors in each layer: the KV
# cache. It keeps them in blocks, like pages of memory, and hands those out one at a time.
#
# Here is a real engine on a tiny model with random weights. It talks nonsense at full speed, and its block
# table is open. It has 24 blocks and keeps one for itself. It starts in about 20 seconds; most of that is the import.

# %%
from lablib.paging.probe import TinyEngine
from lablib.plots.blocks import BlockPicture
from lablib.plots.live import Live

prompts = {"a haiku": [3] * 20, "an essay": [4] * 90, "a shopping list": [5] * 40}
tables = []
with TinyEngine(blocks=24, say=print) as engine, Live() as live:
    for table in engine.steps(prompts, max_tokens=60):
        tables.append(table)
        if table.requests:
            live.show(BlockPicture(table))

# %% [markdown]
# Every request holds whole blocks of 32 tokens. The last one is rarely full: that is all that is wasted. And
# the blocks of one request need not lie side by side. Look at the numbers:

# %%
print(tables[-2])

# %% [markdown]
# ## 5 · What now?
#
# ### 5.1 In your own words
#
# You killed two things today: a scheduler and a worker. In both cases the work was finished in the end. In three
# or four sentences: **who remembered what was to be done, and what was done twice?**

# %% [markdown] reflect="5.1" points=2
# When the scheduler died, etcd remembered: the pod "orphan" was an object there, with no node in it. The new
# scheduler listed the pods, found one without a node, and did the work once. When Ray's worker died, the
# driver's Ray remembered that the task had not returned. It did not remember what the first worker had done, so
# steps 1 to 3 were done twice. A wish that is written down can be picked up by anybody; work in progress is lost
# unless somebody writes down how far it got.

# %% [markdown]
# Tidy up. (You need not: everything ends with this notebook.)

# %%
client.close()
_ = cluster.down(print)

# %% [markdown]
# That was the platform. In [lab 01](../01-gpus/01-gpus.ipynb) you find out where its GPUs go.
