# %% [markdown]
# # 01 · Where do the GPUs go?
#
# The invoice says 307 GPUs. The dashboard says that 33 % of them are busy. The queue says that ninety people
# wait. All three are right, and your boss would like to know how.
#
# **The article says** that GPU utilisation is stuck at 30 %, and that better scheduling takes it to 90.
# The first half is easy to see. Before you believe the second, find out which thirty per cent that is.
#
# ![One node with four GPUs, 600 of 1000 taken on each. The scheduler sees one number, 1600 free; a pod that asks for a whole GPU finds none with 1000 left.](stranded.svg)
#
# By the end you will have
#
# - read four ways to ask for a part of a GPU, three of which the scheduler doesn't understand;
# - measured *fragmentation*, the metric that a scheduler can steer by;
# - let the real kube-scheduler fill sixty nodes while you watch;
# - and told **allocated**, **used** and **stranded** apart, which few dashboards can.
#
# It takes about an hour. Back tomorrow? Click where you were, and in the menu choose *Run*, then *Run All Above
# Selected Cell*.

# %%
from lablib.grading.notebook import open_lab

check, predict, ledger = open_lab("01-gpus")

# %% [markdown]
# ## 1 · How a GPU becomes a number
#
# Kubernetes knows CPU and memory. Of GPUs it knows nothing. A **device plugin** on each node tells it: "I have
# 8 of something called `nvidia.com/gpu`". From then on it is a number, like CPU. The scheduler subtracts.
# Which GPU, how much of it, what else runs on it: not its business.
#
# So whoever wants *part* of a GPU has to write it down somewhere else. Three projects, three places:
#
# | notation | where | what it means |
# |---|---|---|
# | whole | resource `nvidia.com/gpu: 2` | two GPUs, all of each |
# | HAMi | resources `nvidia.com/gpu: 2`, `nvidia.com/gpumem: 4096`, `nvidia.com/gpucores: 30` | two GPUs; of each 4096 MiB and 30 percent |
# | KAI | annotation `gpu-fraction: "0.5"`, or `gpu-memory: "2000"` | half of one GPU; or 2000 MiB of one |
# | Alibaba | annotations `alibabacloud.com/gpu-milli: "460"`, `alibabacloud.com/gpu-count: "2"` | 460 thousandths of each of two GPUs (no count: one) |
#
# We count shares in **GPU-milli**: 1000 is a whole GPU.
#
# ### 1.1 Read them all
#
# **Predict.** A pod says `gpu-fraction: "0.5"` and nothing else. How many GPUs does kube-scheduler think it
# wants?

# %%
predict("1.1", gpus=...)

# %% [markdown]
# **Build** `gpu_demand(pod)`.

# %%
from lablib.scheduling.model import Demand


# %% exercise="1.1"
def gpu_demand(pod):
    """What a pod asks for, as a Demand, whichever notation it speaks.

    pod.resources      {"nvidia.com/gpu": 2, ...}: whole numbers
    pod.annotations    {"gpu-fraction": "0.5", ...}: texts
    pod.cpu_milli, pod.memory_mib, pod.gpu_models go into the Demand as they are

    Demand(cpu_milli, memory_mib, gpus, gpu_milli, gpu_memory_mib, gpu_models)
        gpus             how many GPUs; 0 for none
        gpu_milli        of each of them; 0 when the pod asks for GPU memory only
        gpu_memory_mib   of each of them; 0 when it doesn't say

    Raises ValueError when the pod speaks two notations at once.
    """
    ### BEGIN SOLUTION
    found = []
    count = pod.resources.get("nvidia.com/gpu", 0)
    memory = pod.resources.get("nvidia.com/gpumem", 0)
    cores = pod.resources.get("nvidia.com/gpucores", 0)
    if count and (memory or cores):
        found.append((count, cores * 10, memory))
    elif count:
        found.append((count, 1000, 0))
    if "gpu-fraction" in pod.annotations:
        found.append((1, round(float(pod.annotations["gpu-fraction"]) * 1000), 0))
    elif "gpu-memory" in pod.annotations:
        found.append((1, 0, int(pod.annotations["gpu-memory"])))
    if "alibabacloud.com/gpu-milli" in pod.annotations:
        gpus = int(pod.annotations.get("alibabacloud.com/gpu-count", "1"))
        found.append((gpus, int(pod.annotations["alibabacloud.com/gpu-milli"]), 0))
    if len(found) > 1:
        raise ValueError("two notations at once")
    gpus, milli, gpu_memory = found[0] if found else (0, 0, 0)
    return Demand(
        pod.cpu_milli, pod.memory_mib, gpus, milli, gpu_memory, pod.gpu_models
    )
    ### END SOLUTION


# %% check="1.1" points=3
check.e1_1(gpu_demand)

# %% [markdown]
# **Measure.** Ask a real scheduler. Here is a cluster of one node with one GPU, and two pods: each wants 0.7 of
# a GPU, in KAI's words. Both can't fit.

# %%
from lablib.cluster.backends import open_cluster
from lablib.cluster.convert import pod_manifest
from lablib.cluster.pools import NodePool
from lablib.cluster.wait import wait_until
from lablib.scheduling.model import Pod

small = open_cluster("lab-01-small", [NodePool("A10", nodes=1, gpus=1)])
small.up(print)
with small.client() as client:
    for name in ("first", "second"):
        client.create(pod_manifest(Pod(name, annotations={"gpu-fraction": "0.7"})))
    found = wait_until(
        client, lambda listing: all(pod.node or pod.reason for pod in listing.pods)
    )
    for pod in found.pods:
        print(f"{pod.name} wants 0.7 of a GPU and is bound to {pod.node}")
_ = small.down()
# %% [markdown]
# Both are on the node. For kube-scheduler they ask for *nothing*. Projects that share GPUs bring a scheduler of
# their own for that reason. The rest of this lab uses a trick that needs none: every node also offers
# a plain number called `lab/gpu-milli`, a thousand for each GPU, and each pod asks for its share of it. Now
# the scheduler counts. Counting is all that it does.

# %% [markdown]
# ## 2 · What a count can't see
#
# ### 2.1 Can it run here?
#
# **Predict.** A node has two GPUs, with 600 milli left on each. A pod wants one whole GPU: 1000. Does it fit?
# Write 1 for yes and 0 for no.

# %%
predict("2.1", fits=...)

# %% [markdown]
# **Build** `can_run(state, demand)`.


# %% exercise="2.1"
def can_run(state, demand):
    """Whether a pod fits on a node, beside what runs there: True or False.

    state.node                  .ready, .unschedulable (cordoned), .model (of its GPUs)
    state.cpu_milli_free, state.memory_mib_free
    state.gpu_milli_free        what is left of each GPU, e.g. (1000, 190)
    state.gpu_memory_mib_free   MiB left on each GPU, in the same order
    demand                  as in 1.1; an empty demand.gpu_models allows every model
    """
    ### BEGIN SOLUTION
    node = state.node
    if not node.ready or node.unschedulable:
        return False
    if (
        demand.cpu_milli > state.cpu_milli_free
        or demand.memory_mib > state.memory_mib_free
    ):
        return False
    if demand.gpus and demand.gpu_models and node.model not in demand.gpu_models:
        return False
    left = zip(state.gpu_milli_free, state.gpu_memory_mib_free)
    room = [
        milli >= demand.gpu_milli and memory >= demand.gpu_memory_mib
        for milli, memory in left
    ]
    return sum(room) >= demand.gpus
    ### END SOLUTION


# %% check="2.1" points=3
check.e2_1(can_run)

# %% [markdown]
# ## 3 · Measuring what is lost
#
# Some GPU is always idle. That is no loss, as long as the next pod can use it. So the question is: *idle, and of
# use to whom?* It depends on who usually comes.
#
# Take the pods of a day and keep the commonest shapes: the **typical pods**, each with its share. For one node
# and one typical pod there are two cases.
#
# - The pod could run here. Then only the GPUs that are too full for it are of no use to it.
# - It could not: too few GPUs with room, too little CPU, the wrong model, or it wants no GPU at all. Then *everything*
#   that is idle here is of no use to it.
#
# Add up the useless milli, weighted by share: that is the node's **fragmentation**. (The metric is from
# *Beware of Fragmentation*, USENIX ATC 2023.)
#
# ### 3.1 Fragmentation
#
# **Predict.** A node has GPUs with 1000 and 300 milli left and plenty of CPU. Half of the typical pods want 500,
# the other half want a whole GPU. How many milli are lost, on average?

# %%
predict("3.1", milli=...)

# %% [markdown]
# **Build** `fragmentation(state, typical)`.


# %% exercise="3.1"
def fragmentation(state, typical):
    """GPU-milli that are idle on a node and of no use to a typical pod, on average.

    state      as in 2.1
    typical    a list; each has .demand (a Demand) and .share (they add up to 1)

    "Could run" means here: it wants a GPU, enough GPUs have room, the CPU is
    enough, the model is right. Host memory and memory of GPUs are not looked at.
    """
    ### BEGIN SOLUTION
    left = state.gpu_milli_free
    lost = 0.0
    for pod in typical:
        demand = pod.demand
        room = sum(milli >= demand.gpu_milli for milli in left)
        right_model = not demand.gpu_models or state.node.model in demand.gpu_models
        if (
            demand.gpus
            and room >= demand.gpus
            and right_model
            and demand.cpu_milli <= state.cpu_milli_free
        ):
            lost += pod.share * sum(
                milli for milli in left if milli < demand.gpu_milli
            )
        else:
            lost += pod.share * sum(left)
    return lost
    ### END SOLUTION


# %% check="3.1" points=3
check.e3_1(fragmentation)

# %% [markdown]
# ## 4 · Fill sixty nodes
#
# Time for the real thing. Sixty nodes and some 450 pods, in the proportions of a trace that Alibaba published
# (*openb*, 2023; have it? `LAB_TRACE_DIR` names its folder, and your pods come from it): eight-GPU machines, two-GPU machines, old and new; one pod in eight wants no GPU, four in ten want part of one.
#
# ### 4.1 A report that tells the truth
#
# Before you let them in, build the instrument. A pod that is bound *holds* its GPUs; whether it uses them is
# another question. Here each pod's annotation `lab/gpu-utilization` tells: a share, 0 to 1.
#
# One more thing happens in real clusters. The scheduler counts 1200 free milli on a node and sends a pod that
# wants 1000; on the node there are 600 on one GPU and 600 on another. The device plugin refuses. Such a pod has
# a node and no GPU: its holding says `refused`.

# %%
from lablib.scheduling.feasibility import objections
from lablib.scheduling.report import AllocationReport, stranded_milli

demand_of = check.best("1.1", gpu_demand)

# %% [markdown]
# **Build** `allocation_report(assignment, pods, typical)`.


# %% exercise="4.1"
def allocation_report(assignment, pods, typical):
    """An AllocationReport: where the GPUs of a cluster go, in GPU-milli.

    assignment.snapshot.nodes   states, as in 2.1; state.node.gpus are its GPUs,
                                each .healthy or not
    assignment.holdings         bound pods; each .pod, .demand, .refused
    pods                        all pods; one that waits is "Pending" (.phase)
                                and on no .node
    typical                     as in 3.1

    AllocationReport(
        capacity_milli    1000 for every healthy GPU
        allocated_milli   given to pods: capacity without what is left
        used_milli        what the holdings really use: demand.total_gpu_milli times
                          the pod's annotation "lab/gpu-utilization" (a text; 1 if
                          it isn't there)
        stranded_milli    stranded_milli(state, typical), over all nodes
        waiting           why each pod waits, by its name:
                          objections(states, demand_of(pod)) tells
    )
    """
    ### BEGIN SOLUTION
    states = assignment.snapshot.nodes
    capacity = sum(
        1000 for state in states for gpu in state.node.gpus if gpu.healthy
    )
    used = 0.0
    for holding in assignment.holdings:
        if not holding.refused:
            share = float(holding.pod.annotations.get("lab/gpu-utilization", 1))
            used += holding.demand.total_gpu_milli * share
    return AllocationReport(
        capacity_milli=capacity,
        allocated_milli=capacity
        - sum(sum(state.gpu_milli_free) for state in states),
        used_milli=used,
        stranded_milli=sum(stranded_milli(state, typical) for state in states),
        waiting={
            pod.name: dict(objections(states, demand_of(pod)))
            for pod in pods
            if pod.phase == "Pending" and pod.node is None
        },
    )
    ### END SOLUTION


# %% check="4.1" points=3
check.e4_1(allocation_report)

# %% [markdown]
# **Predict.** The pods ask for 110 % of all GPUs. Everybody uses what they asked for. When nobody else fits, how
# many per cent are allocated, and how many GPUs are stranded?

# %%
predict("4.1", allocated_percent=..., stranded_gpus=...)

# %% [markdown]
# **Measure.** A real API server, the real kube-scheduler, sixty nodes. It takes about 15 seconds. Watch the map, and watch for
# the first orange stripes: room on a GPU that is of no use to anybody.

# %%
import numpy as np

from lablib.cluster.backends import open_cluster
from lablib.cluster.convert import node_manifest, pod_manifest
from lablib.cluster.pools import lab_node
from lablib.cluster.wait import wait_until
from lablib.plots.live import Live
from lablib.plots.map import cluster_map
from lablib.scheduling.arrivals import arrive
from lablib.scheduling.fragmentation import typical_pods
from lablib.scheduling.openb import open_trace
from lablib.scheduling.report import assign
from lablib.scheduling.trace import as_pod, asking_whole
from lablib.settings import Settings

report_of = check.best("4.1", allocation_report)
trace = open_trace(
    np.random.default_rng(1), nodes=60, load_share=1.1, folder=Settings().trace_dir
)
typical = typical_pods(pod.demand for pod in trace.pods)
print(
    f"{len(trace.nodes)} nodes, {trace.capacity_milli // 1000} GPUs, "
    f"{len(trace.pods)} pods, {len(typical)} typical shapes"
)

cluster = open_cluster("lab-01", [])
cluster.up(print)
client = cluster.client()
for node in trace.nodes:
    client.create(node_manifest(lab_node(node)))
_ = wait_until(
    client,
    lambda listing: (
        sum(node.ready and not node.taints for node in listing.nodes) == 60
    ),
)
# %%
history = []


def picture(listing):
    """The map of what runs, and a line for the history."""
    assignment = assign(listing.nodes, listing.pods)
    report = report_of(assignment, listing.pods, typical)
    history.append((len(listing.pods), report))
    return cluster_map(assignment, typical, waiting=len(report.waiting))


with Live() as live:
    full = arrive(
        client,
        [as_pod(pod) for pod in trace.pods],
        look=lambda listing: live.show(picture(listing)),
    )

# %% [markdown]
# When did the first GPU strand, and what had become of the cluster in the end?

# %%
first = next(count for count, report in history if report.stranded_milli)
shared = history[-1][1]
refused = sum(holding.refused for holding in assign(full.nodes, full.pods).holdings)
print(f"after {first} pods the first GPU-milli were stranded")
print("\n".join(str(shared).splitlines()[:4]))
print(
    f"{len(shared.waiting)} pods wait; {refused} more were sent to a node "
    "that has no GPU for them"
)

# %%
from collections import Counter

from lablib.plots.charts import bars

reasons = Counter()
for why in shared.waiting.values():
    reasons.update(why)
bars(
    dict(reasons.most_common(5)),
    labels=("how often, over waiting pods and nodes", ""),
    alt="Why pods wait: "
    + "; ".join(
        f"{reason}, {count} times" for reason, count in reasons.most_common(5)
    ),
)

# %% [markdown]
# Now let your own functions look at what is left: once as a count would, once GPU by GPU.

# %%
fits, lost = check.best("2.1", can_run), check.best("3.1", fragmentation)
states = assign(full.nodes, full.pods).snapshot.nodes
waiting = [demand_of(pod) for pod in full.pods if pod.name in shared.waiting]


def by_count(state, demand):
    """Whether the sums would do."""
    asked = demand.total_gpu_milli, demand.cpu_milli, demand.memory_mib
    there = state.total_gpu_milli_free, state.cpu_milli_free, state.memory_mib_free
    return all(wanted <= left for wanted, left in zip(asked, there))


counted = sum(
    any(by_count(state, demand) for state in states) for demand in waiting
)
fitting = sum(any(fits(state, demand) for state in states) for demand in waiting)
idle = sum(state.total_gpu_milli_free for state in states) / 1000
useless = sum(lost(state, typical) for state in states) / 1000
print(
    f"{len(waiting)} pods wait: by count {counted} would fit, GPU by GPU {fitting} do"
)
print(f"{idle:.1f} GPUs are idle; a typical pod can't use {useless:.1f} of them")

# %% [markdown]
# Most of them would fit if GPUs could be added up. (The one or two that do fit wait all the same: refused pods
# still hold their share of the count.) Many a GPU is idle because the *CPU* beside it is gone: buying GPUs would not help.
# And the refused pods: kube-scheduler counted, the sum was enough, and no single GPU was. It can't see it.
# In lab 02 you write a scheduler that can.
#
# ## 5 · The thirty per cent
#
# Now the same day in a company where nobody shares. Everybody asks for whole GPUs, to be safe, and really uses a third.
#
# **Predict.** What will the report say: allocated, and used?

# %%
predict("5.1", allocated_percent=..., used_percent=...)

# %%
for pod in full.pods:
    client.delete_pod(pod, grace_seconds=0)
_ = wait_until(client, lambda listing: not listing.pods)

history.clear()
with Live() as live:
    wasted = arrive(
        client,
        [as_pod(asking_whole(pod), utilization=1 / 3) for pod in trace.pods],
        look=lambda listing: live.show(picture(listing)),
    )
whole = history[-1][1]
print("\n".join(str(whole).splitlines()[:4]))
print(f"{len(whole.waiting)} pods wait")

# %% [markdown]
# There are your thirty per cent. The cluster is *full*: 99 % allocated, almost nothing stranded, and a queue at the door. A
# better scheduler can't find a GPU here, since none is free. What is wasted is inside the allocations.
#
# Compare the two days: the first stranded some GPUs, and scheduling can win those back. The second wasted
# two thirds, and only sharing, or asking for less, can. Same dashboard, different disease.

# %%
from lablib.plots.charts import bars

bars(
    {
        "shared: allocated": 100 * shared.allocated,
        "shared: used": 100 * shared.used,
        "shared: stranded": 100 * shared.stranded,
        "whole: allocated": 100 * whole.allocated,
        "whole: used": 100 * whole.used,
        "whole: stranded": 100 * whole.stranded,
    },
    labels=("per cent of all GPUs", ""),
    alt=f"Sharing: {shared.allocated:.0%} allocated, {shared.used:.0%} used, "
    f"{shared.stranded:.0%} stranded. Whole GPUs: {whole.allocated:.0%} allocated, "
    f"{whole.used:.0%} used, {whole.stranded:.0%} stranded.",
)

# %% [markdown]
# **Break.** Two small cruelties. First a GPU falls ill: its device plugin reports it unhealthy. What happens to
# the pods that hold it?

# %%
before = client.list()
busy = next(
    pod
    for pod in before.pods
    if pod.node and pod.resources.get("nvidia.com/gpu") == 1
)
client.mark_unhealthy(busy.node, [0])
after = client.list()
node = next(node for node in after.nodes if node.name == busy.node)
print(
    f"{node.name} offers {node.resources['nvidia.com/gpu']} "
    f"of {len(node.gpus)} GPUs now"
)
print(f"{busy.name} is still {client.pod(busy.name).phase}: nobody told it")
client.mark_unhealthy(busy.node, [])
# %% [markdown]
# Nothing happens to them. Allocatable goes down by one, and whoever holds the broken GPU goes on holding it. Somebody
# has to evict it: that will be you, in lab 06.
#
# Second, a label lies. Feature discovery says what model a node has, and everybody believes it.

# %%
liar = next(node for node in after.nodes if node.model == "T4")
print(f"{liar.name} has {liar.model}")
client.label(liar.name, {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"})
for pod in after.pods:
    if pod.node in (None, liar.name):  # the queue goes home, and the node is empty
        client.delete_pod(pod, grace_seconds=0)
client.create(
    pod_manifest(
        Pod(
            "wants-an-h100",
            resources={"nvidia.com/gpu": 1, "lab/gpu-milli": 1000},
            gpu_models=frozenset({"H100"}),
        )
    )
)
_ = wait_until(
    client,
    lambda listing: any(
        pod.name == "wants-an-h100" and pod.node for pod in listing.pods
    ),
)
deceived = client.pod("wants-an-h100")
print(f"{deceived.name} is bound to {deceived.node}")

# %% [markdown]
# It got a T4 and thinks it is an H100. A label is a claim, like any other.
#
# ### 5.2 In your own words
#
# Your boss reads: *"GPU utilisation is stuck at 30 %. A better scheduler takes it to 90."* In four or five
# sentences: **what would you ask before you agree, and which number on which of today's two days would the answer change?**

# %% [markdown] reflect="5.2" points=2
# I would ask which thirty per cent it is: 30 % allocated, or 30 % used of what is allocated. On the first day
# (everybody shares) 92 % were allocated and used, and about 6 % were stranded: there a scheduler that sees
# fragmentation can win a few per cent back. On the second day 99 % were allocated and a third of that was used: no GPU
# was free, so no scheduler could place one more pod. There the used share changes only if pods ask for less or share their
# GPUs. I would also ask what pods wait *for*: many waited for CPU, and neither scheduling nor GPUs help then.

# %%
ledger(
    "GPU utilisation is stuck at 30 %, and better scheduling takes it to 90 %",
    predicted="5.1",
    measurement=f"whole GPUs: {whole.allocated:.0%} allocated, {whole.used:.0%} used; "
    f"shared: {shared.used:.0%} used, {shared.stranded:.0%} stranded",
    literature="published: 87.3 to 95.4 % allocated under load, "
    "from random placement to FGD (ATC 2023)",
    verdict="holds only if GPUs are shared: scheduling can't use "
    "what is allocated and idle",
)

# %%
client.close()
_ = cluster.down(print)
