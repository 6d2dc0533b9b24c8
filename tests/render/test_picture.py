"""Plans as pictures: one file of well-formed XML, nothing from elsewhere, each device a box."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.conftest import DATA, Run

pytestmark = pytest.mark.usefixtures("first_version")

SVG = "{http://www.w3.org/2000/svg}"
HIVES = DATA / "topologies" / "rocm8_two_xgmi_hives.txt"


def drawn(run: Run, *arguments: object, form: str = "svg") -> ElementTree.Element:
    ran = run("eval", *map(str, arguments), "--format", form)
    assert ran.code == 0, ran.err
    assert "http" not in ran.out.replace(SVG[1:-1], "")
    text = ran.out if form == "svg" else ran.out[ran.out.index("<svg") : ran.out.index("</svg>") + 6]
    return ElementTree.fromstring(text)


def texts(picture: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}text")]


def boxes(picture: ElementTree.Element, style: str) -> list[ElementTree.Element]:
    return [each for each in picture.iter(f"{SVG}rect") if each.get("class") == style]


@pytest.mark.parametrize("form", ["svg", "html"])
def test_each_device_is_a_box_filled_by_what_it_holds(form: str, run: Run) -> None:
    asked = ("--inventory", HIVES, "--memory", "40GiB", "--params", "70B", "--quantization", "fp16")
    picture = drawn(run, *asked, form=form)
    assert len(boxes(picture, "box")) == 8
    held = 70e9 * 2 * 1.2 / 8
    widths = [float(each.get("width", "0")) for each in boxes(picture, "used")]
    whole = float(boxes(picture, "box")[0].get("width", "0"))
    assert widths == pytest.approx([whole * held / (40 * 2**30)] * 8, rel=0.01)
    # Two hives of four, each wholly meshed: 2 x 6 links.
    assert len(list(picture.iter(f"{SVG}path"))) == 12


def test_nodes_are_frames_with_their_names(run: Run) -> None:
    picture = drawn(run, "--inventory", "2x8xH100-SXM", "--params", "405B", "--quantization", "bf16")
    assert len(boxes(picture, "frame")) == 2
    assert {"node0", "node1"} <= set(texts(picture))


def test_no_box_leaves_the_picture_and_none_covers_another(run: Run) -> None:
    picture = drawn(run, "--inventory", "5xL40S+3xA100", "--params", "7B", "--quantization", "bf16")
    width, height = float(picture.get("width", "0")), float(picture.get("height", "0"))
    corners = [
        tuple(float(each.get(name, "0")) for name in ("x", "y", "width", "height"))
        for each in boxes(picture, "box")
    ]
    for x, y, wide, high in corners:
        assert x >= 0
        assert y >= 0
        assert x + wide <= width
        assert y + high <= height
    for number, (x, y, wide, high) in enumerate(corners):
        for other in corners[number + 1 :]:
            assert abs(x - other[0]) >= wide or abs(y - other[1]) >= high


def test_of_very_many_devices_the_first_are_drawn_and_the_rest_counted(run: Run) -> None:
    picture = drawn(run, "--inventory", "100xL40S", "--params", "7B", "--quantization", "bf16")
    assert len(boxes(picture, "box")) == 64
    assert "and 36 more devices" in texts(picture)


def test_names_are_text_and_never_markup(run: Run) -> None:
    request = (
        'inventory: {devices: [{kind: CudaGpu, memory: 80GiB, name: "<script>1</script>", node: "a&b"}]}\n'
        "model: {params: 7000000000}\nquantization: bf16\n"
    )
    ran = run("eval", "--request", "-", "--format", "svg", stdin=request)
    assert ran.code == 0, ran.err
    picture = ElementTree.fromstring(ran.out)
    assert not list(picture.iter(f"{SVG}script"))
    assert "a&b" in texts(picture)


def test_without_an_inventory_there_is_nothing_to_draw(run: Run) -> None:
    order = DATA / "policies" / "order" / "policy.yaml"
    ran = run("eval", "--policy", order, "--input", "-", "--format", "svg", stdin="words: [a]\n")
    assert (ran.code, ran.out) == (2, "")
    assert "a diagram needs an inventory" in ran.err


def test_an_inventory_alone(run: Run) -> None:
    ran = run("inventory", "show", "2x4xH100-SXM", "--format", "svg")
    assert ran.code == 0, ran.err
    picture = ElementTree.fromstring(ran.out)
    assert (len(boxes(picture, "box")), len(boxes(picture, "used"))) == (8, 0)
    assert texts(picture)[0] == "8 × CudaGpu"
