"""`nvidia-smi -q -x`, whole, with a matrix, and damaged."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_hardware
from engine.inventory.recognize import read_captures
from tests.conftest import DATA, Run

HARDWARE = load_hardware(())
TOPOLOGY = (DATA / "topologies" / "h100x8-nvswitch.txt").read_text(encoding="utf-8")


def log(count: int, mig: str = "Disabled", free: str = "81003 MiB") -> str:
    devices = "".join(
        f"""\t<gpu id="00000000:{0x1B + number:02X}:00.0">
\t\t<product_name>NVIDIA H100 80GB HBM3</product_name>
\t\t<mig_mode>
\t\t\t<current_mig>{mig}</current_mig>
\t\t</mig_mode>
\t\t<serial>1654900000000</serial>
\t\t<uuid>GPU-00000000-0000-0000-0000-000000000000</uuid>
\t\t<fb_memory_usage>
\t\t\t<total>81559 MiB</total>
\t\t\t<free>{free}</free>
\t\t</fb_memory_usage>
\t</gpu>
"""
        for number in range(count)
    )
    return f"""<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
\t<driver_version>550.54.15</driver_version>
\t<attached_gpus>{count}</attached_gpus>
{devices}</nvidia_smi_log>
"""


def test_devices_and_their_memory_without_serial_numbers(run: Run) -> None:
    ran = run("inventory", "import", "-", "--format", "json", stdin=log(2))
    ran.ok(quiet=True)
    first, second = json.loads(ran.out)["devices"]
    assert (first["memory_bytes"], first["free_bytes"]) == (81559 * 2**20, 81003 * 2**20)
    assert (second["device_id"], second["name"]) == (1, "NVIDIA H100 80GB HBM3")
    assert "16549" not in ran.out
    assert "GPU-0" not in ran.out


def test_a_log_and_a_matrix_are_one_machine(run: Run) -> None:
    ran = run("inventory", "import", "-", "--format", "json", stdin=log(8) + TOPOLOGY)
    found = json.loads(ran.out)
    assert [(each["kind"], each["bandwidth_gbps"]) for each in found["interconnects"]] == [("NVSwitch", 450)]
    assert {each["memory_bytes"] for each in found["devices"]} == {81559 * 2**20}
    assert [each["numa_node"] for each in found["devices"]] == [0] * 4 + [1] * 4


def test_what_the_tool_does_not_know_stays_unknown(run: Run) -> None:
    ran = run("inventory", "import", "-", "--format", "json", stdin=log(1, mig="Enabled", free="N/A"))
    (device,) = json.loads(ran.out)["devices"]
    assert device.get("free_bytes") is None
    assert "GPU 0 is divided by MIG" in ran.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (log(2)[:600], "<stdin>:3:1: the log has no </nvidia_smi_log>"),
        (log(2).replace("\t</gpu>\n", "", 1), "damaged XML: mismatched tag"),
        (log(1).replace("81559 MiB", "a lot"), "<stdin>:14:11: 'a lot' is not a size"),
        (log(0), "<stdin>:3:1: the log has no device"),
        (log(1).replace("550.54.15", "&bomb;"), "damaged XML: undefined entity"),
    ],
)
def test_damage_is_told_at_its_line(text: str, message: str, run: Run) -> None:
    ran = run("inventory", "import", "-", stdin=text)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_log_is_too_odd(data: st.DataObject) -> None:
    """A log with a piece cut out or put in: an inventory or an error of ours, nothing else."""
    text = log(3) + TOPOLOGY
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    piece = data.draw(
        st.sampled_from(["", "<", "</gpu>", "<gpu>", "&x;", "<!--", "\x00", "]]>", "N/A", "\n"])
    )
    with suppress(EngineError):
        read_captures([("odd", text[:first] + piece + text[last:])], HARDWARE)
