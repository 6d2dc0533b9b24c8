"""Terms that the readers of llama.cpp's logs share."""

from __future__ import annotations

import re

SOURCES = ("llama.cpp",)
FASTEST = "fastest"
"""CUDA numbers devices by speed unless CUDA_DEVICE_ORDER says otherwise (CUDA C++ Programming Guide)."""
PORTABLE, METAL = "Vulkan", "MetalGpu"
KINDS = {
    "CUDA": "CudaGpu",
    "ROCm": "RocmGpu",
    "HIP": "RocmGpu",
    "MTL": "MetalGpu",
    "Metal": "MetalGpu",
    "SYCL": "IntelOneApi",
    "MUSA": "MusaGpu",
    "CANN": "AscendNpu",
    "Vulkan": "VulkanGpu",
}
"""Kinds of devices by the back end that lists them; Vulkan drives those of every maker, which the
catalog `products` tells apart."""
CUDA_ORDERED = frozenset({"CUDA"})

_DRIVER = re.compile(r"\s*\((?:RADV|NVK|ANV|llvmpipe|NVIDIA|AMD proprietary|Intel open-source)\b[^()]*\)\Z")

_SOFTWARE = re.compile(r"llvmpipe|lavapipe|SwiftShader|Microsoft Basic Render", re.IGNORECASE)


def is_software(name: str) -> bool:
    """Test for a renderer that runs on the CPU, which Vulkan lists like a device."""
    return _SOFTWARE.search(name) is not None


def without_driver(name: str) -> str:
    """Return a name without the driver that Vulkan appends: `AMD Radeon RX 7900 XTX (RADV NAVI31)`."""
    return _DRIVER.sub("", name.strip())
