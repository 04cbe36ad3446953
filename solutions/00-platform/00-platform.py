# %% [markdown]
# # 00 · The platform on your desk
#
# It is Monday, and the GPU platform is yours now. People train on it, people serve models from it, and
# everybody says it is slow. Nobody can say why. There is an article that promises answers: utilisation
# from 30 to 90 %, training that never dies, chips that never throttle. You have read it twice. It has
# no measurements.
#
# So you will make some. This lab puts a whole platform on your desk, in ten minutes and with no theory:
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
# You can't harm anything. What you start here ends with this notebook. And you can go on when you are
# stuck: later parts then use our version of your function, and say so.

# %%
from lablib.lab import lab

check, predict, reflect, ledger = lab("00")

# %% [markdown]
# ## 1 · A cluster of your own
#
# The next cell starts five programs: **etcd**, which remembers; the **API server**, the only door to
# what it remembers; the **scheduler**; the **controller manager**; and **KWOK**, which plays the nodes.
# Only KWOK's nodes are pretend. The other four can't tell the difference.
