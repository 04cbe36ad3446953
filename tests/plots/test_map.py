"""The cluster map shows who holds what, as a picture and as text."""

import xml.etree.ElementTree as ET

import pytest

from lablib.gpu.device import Gpu, Node
from lablib.plots.live import Live
from lablib.plots.map import Box, Slice, cluster_map
from lablib.scheduling.fragmentation import TypicalPod
from lablib.scheduling.model import RUNNING, Demand, Pod
from lablib.scheduling.report import assign

TYPICAL = (TypicalPod(Demand(gpus=1, gpu_milli=500), 1.0),)
SVG = "{http://www.w3.org/2000/svg}"


def node(name, count=2, model="T4", broken=()):
    gpus = tuple(Gpu(index, model, 16000, index not in broken) for index in range(count))
    return Node(name, 8000, 1000, gpus)


def pod(name, milli, on, at, namespace="a"):
    notes = {"alibabacloud.com/gpu-milli": str(milli)}
    return Pod(name, namespace, annotations=notes, node=on, phase=RUNNING, created_seconds=at)


@pytest.fixture
def shown():
    pods = [
        pod("p0", 600, "n0", 1),
        pod("p1", 600, "n0", 2),
        pod("p2", 700, "n0", 3),
        pod("p3", 1000, "n1", 4, "<b>"),
    ]
    assignment = assign([node("n1", broken=(1,)), node("n0")], pods)
    return cluster_map(assignment, TYPICAL, tenant=lambda holding: holding.pod.namespace, waiting=3)


def test_boxes_hold_slices_by_tenant(shown):
    assert [row.name for row in shown.rows] == ["n0", "n1"]
    assert shown.rows[0].boxes == (
        Box((Slice("a", 600, "p0"),), stranded=True),
        Box((Slice("a", 600, "p1"),), stranded=True),
    )
    assert shown.rows[1].boxes == (Box((Slice("<b>", 1000, "p3"),)), Box(healthy=False))
    assert shown.tenants == ("<b>", "a")


def test_the_headline_says_all_in_a_line(shown):
    assert shown.headline == (
        "2.2 of 3 GPUs allocated, 0.8 stranded, 1 pods refused by their node, 3 pods wait, 1 unhealthy"
    )


def test_text_has_a_character_a_gpu(shown):
    assert shown.as_text().splitlines()[1:] == ["n0 ▄▄", "n1 █×"]


def test_only_a_full_gpu_looks_full():
    assignment = assign([node("n", 3)], [pod("p", 999, "n", 1), pod("q", 1, "n", 2), pod("r", 2, "n", 3)])
    assert cluster_map(assignment).as_text().splitlines()[1] == "n █▁·"


def test_the_picture_is_well_formed_and_says_what_it_shows(shown):
    root = ET.fromstring(shown._repr_html_())
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == shown.headline
    assert root.find(f"{SVG}desc").text == "T4: 4 GPUs, 1 full, 1 empty, 2 with stranded rest."
    tips = [title.text for title in root.findall(f"{SVG}rect/{SVG}title")]
    assert tips == ["p0: 0.6 GPU", "p1: 0.6 GPU", "p3: 1 GPU"]


def test_heights_are_to_scale(shown):
    root = ET.fromstring(shown._repr_html_())
    heights = [
        float(rect.get("height"))
        for rect in root.findall(f"{SVG}rect")
        if rect.find(f"{SVG}title") is not None
    ]
    assert heights == pytest.approx([16 * 0.6, 16 * 0.6, 16], abs=0.05)


def test_every_fill_that_is_used_is_defined(shown):
    root = ET.fromstring(shown._repr_html_())
    defined = {f"url(#{pattern.get('id')})" for pattern in root.iter(f"{SVG}pattern")}
    used = {rect.get("fill") for rect in root.iter(f"{SVG}rect") if rect.get("fill", "").startswith("url")}
    assert used <= defined
    assert len(used) == 3


def test_two_pictures_on_a_page_share_no_name(shown):
    other = cluster_map(assign([node("n0")], [pod("p0", 600, "n0", 1)]))
    first, second = (
        {pattern.get("id") for pattern in ET.fromstring(each._repr_html_()).iter(f"{SVG}pattern")}
        for each in (shown, other)
    )
    assert first
    assert not first & second


def test_sixty_nodes_fit_on_a_screen():
    picture = cluster_map(assign([node(f"n{number:02d}", 8) for number in range(60)], []))
    _, _, width, height = map(float, ET.fromstring(picture._repr_html_()).get("viewBox").split())
    assert width < 1100
    assert height < 450
    assert len(ET.fromstring(picture._repr_html_()).findall(f"{SVG}rect")) == 60 * 8 * 2 + 1


def test_a_map_of_nothing_is_a_map():
    empty = cluster_map(assign([], []))
    assert empty.headline == "0 of 0 GPUs allocated"
    ET.fromstring(empty._repr_html_())


def test_a_live_picture_ends_with_the_last(monkeypatch):
    drawn = []

    class Handle:
        update = drawn.append

    def display(value, display_id):
        assert display_id
        drawn.append(value)
        return Handle

    monkeypatch.setattr("lablib.plots.live.display", display)
    with Live() as live:
        for number in range(50):
            live.show(number)
    assert drawn[0] == 0
    assert drawn[-1] == 49
    assert len(drawn) < 50
