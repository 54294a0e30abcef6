"""A program: one of several processes that exchange values until one of them fails.

Usage: together.py ADDRESS NUM_PROCESSES PROCESS_ID FAULT; FAULT is `raise` or `kill` with the index of the process
that raises an error or is killed, such as `kill:1`, while the others wait; `hang` kills while they compute; `none`
is no fault: all print a line to stdout and wait.
"""

from __future__ import annotations

import os
import signal
import sys
import time

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "4", "JAX_ENABLE_PREEMPTION_SERVICE": "0"}


def main(address: str, count: str, index: str, fault: str) -> None:
    import jax
    import numpy as np
    from jax.experimental.multihost_utils import process_allgather

    from thinkaloud.distributed.agreement import from_first, gather
    from thinkaloud.distributed.devices import device_memory_bytes
    from thinkaloud.distributed.processes import connect, disconnect, fail

    pages = os.sysconf("SC_PHYS_PAGES")
    more = {"SC_PHYS_PAGES": pages * (1 + int(index)), "SC_PAGE_SIZE": 4096}  # as if each host had more memory
    os.sysconf = more.__getitem__
    try:
        connect(address, int(count), int(index), {"fault": fault}, heartbeat_seconds=5)
        assert device_memory_bytes() == pages * 4096  # the least
        assert gather(int(index)) == list(range(int(count)))
        assert from_first(lambda: index) == "0"
        name, _, failing = fault.partition(":")
        devices = [device.process_index for device in jax.devices()]
        assert process_allgather(np.float32([index])).ravel().tolist() == devices == list(range(int(count)))
        if index == failing:
            if name == "raise":
                raise ValueError("a bug")
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "none":
            print("connected", flush=True)
        if name in ("hang", "none"):
            time.sleep(300)
        disconnect()
    except Exception as error:
        print(f"error: {fail(error)}", file=sys.stderr, flush=True)
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
