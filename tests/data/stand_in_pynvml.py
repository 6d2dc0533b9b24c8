"""A stand-in of NVML's Python binding, of its constants and of a machine that a file describes."""

import importlib.util
import json
import os
import sys
import time
from types import SimpleNamespace

_spec = importlib.util.spec_from_file_location("real_pynvml", os.environ["REAL_PYNVML"])
_real = importlib.util.module_from_spec(_spec)
sys.modules["real_pynvml"] = _real
_spec.loader.exec_module(_real)
globals().update({name: getattr(_real, name) for name in dir(_real) if name.startswith("NVML_")})
NVMLError = _real.NVMLError

with open(os.environ["STAND_IN_MACHINE"], encoding="utf-8") as _file:
    _machine = json.load(_file)


def nvmlInit():
    time.sleep(_machine.get("hang", 0))


def nvmlSystemGetDriverVersion():
    return b"550.54.15"


def nvmlDeviceGetCount():
    return len(_machine["devices"])


def nvmlDeviceGetHandleByIndex(number):
    return number


def nvmlDeviceGetName(handle):
    return _machine["devices"][handle]["name"]


def nvmlDeviceGetMemoryInfo(handle):
    if "total" not in _machine["devices"][handle]:
        raise NVMLError(_real.NVML_ERROR_NOT_SUPPORTED)
    return SimpleNamespace(
        total=_machine["devices"][handle]["total"], free=_machine["devices"][handle]["free"]
    )


def nvmlDeviceGetMigMode(handle):
    if "mig" not in _machine["devices"][handle]:
        raise NVMLError(_real.NVML_ERROR_NOT_SUPPORTED)
    return [_machine["devices"][handle]["mig"], 0]


def nvmlDeviceGetMemoryAffinity(handle, size, scope):
    return [_machine["devices"][handle]["numa"]]


def nvmlDeviceGetPciInfo(handle):
    return SimpleNamespace(busId=f"0000:{handle:02X}:00.0".encode())


def nvmlDeviceGetNvLinkState(handle, port):
    if port >= len(_machine["devices"][handle]["ports"]):
        raise NVMLError(_real.NVML_ERROR_INVALID_ARGUMENT)
    return 1


def nvmlDeviceGetNvLinkRemoteDeviceType(handle, port):
    peer = _machine["devices"][handle]["ports"][port]
    return _real.NVML_NVLINK_DEVICE_TYPE_SWITCH if peer is None else _real.NVML_NVLINK_DEVICE_TYPE_GPU


def nvmlDeviceGetNvLinkRemotePciInfo(handle, port):
    return nvmlDeviceGetPciInfo(_machine["devices"][handle]["ports"][port])


def nvmlDeviceGetTopologyCommonAncestor(first, second):
    return _machine["ancestors"][first][second]
