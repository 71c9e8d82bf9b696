"""Says which NVIDIA GPUs code of this session can use, by asking the driver itself: no framework is needed."""

import ctypes
import glob
import os

SUCCESS, NO_DEVICE = 0, 100
#: Attributes of the driver's API: compute capability.
MAJOR, MINOR = 75, 76


class DriverError(Exception):
    """The driver is there and refuses."""


def load_driver():
    """The driver's library, or None where none is installed."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    # The current versions of the functions have a suffix.
    driver.total_memory = driver.cuDeviceTotalMem_v2
    return driver


def check(driver, code, what):
    if code != SUCCESS:
        name = ctypes.c_char_p()
        driver.cuGetErrorName(code, ctypes.byref(name))
        raise DriverError(f"{what} failed: {(name.value or b'unknown error').decode()} ({code})")


def list_gpus(driver):
    """One dictionary for each device the driver shows to this process."""
    code = driver.cuInit(0)
    if code == NO_DEVICE:
        return []
    check(driver, code, "cuInit")
    count = ctypes.c_int()
    check(driver, driver.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    found = []
    for index in range(count.value):
        device = ctypes.c_int()
        check(driver, driver.cuDeviceGet(ctypes.byref(device), index), "cuDeviceGet")
        name = ctypes.create_string_buffer(256)
        check(driver, driver.cuDeviceGetName(name, len(name), device), "cuDeviceGetName")
        memory = ctypes.c_size_t()
        check(driver, driver.total_memory(ctypes.byref(memory), device), "cuDeviceTotalMem")
        capability = []
        for attribute in (MAJOR, MINOR):
            value = ctypes.c_int()
            code = driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
            check(driver, code, "cuDeviceGetAttribute")
            capability.append(str(value.value))
        found.append(
            {
                "name": name.value.decode(),
                "memory": memory.value,
                "capability": ".".join(capability),
            }
        )
    return found


visible = os.environ.get("CUDA_VISIBLE_DEVICES")
files = sorted(glob.glob("/dev/nvidia[0-9]*"))
print(f"CUDA_VISIBLE_DEVICES: {'not set, so all' if visible is None else visible or 'empty, so none'}")
print(f"Device files: {', '.join(files) or 'none'}")

driver = load_driver()
if driver is None:
    gpus = []
    print("No GPU: the NVIDIA driver (libcuda.so.1) is not installed on the worker's machine, or not in its container")
else:
    try:
        gpus = list_gpus(driver)
    except DriverError as error:
        gpus = []
        print(f"No GPU can be used: {error}")
    else:
        for gpu in gpus:
            print(f"{gpu['name']}: {gpu['memory'] / 2**30:.0f} GiB, compute capability {gpu['capability']}")
        if not gpus:
            print("No GPU: there is a driver, and it shows no device to this session")
