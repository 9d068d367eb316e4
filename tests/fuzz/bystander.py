"""One honest client beside whatever else a server has to do: acts every 50 ms until its standard input ends.

`python bystander.py TARGET TOKEN` prints `ready`, and at the end how many Acts there were, and their median and 99th
percentile in milliseconds. A failed Act ends it with the error.
"""

import json
import select
import sys
import time

import numpy as np
from support.frames import collect_frames
from support.gateway import Gateway

EVERY = 0.05  # seconds


def main() -> None:
    target, token = sys.argv[1:]
    frames, seconds = collect_frames(32), list[float]()
    with Gateway(target, token=token) as gateway:
        begin, step = time.monotonic(), 0
        name = f"bystander:{time.time_ns()}"
        while not select.select([sys.stdin], [], [], 0)[0]:
            before = time.perf_counter()
            gateway.act(name, step, frames[step % len(frames)])
            seconds.append(time.perf_counter() - before)
            step += 1
            if step == 1:
                seconds.clear()
                print("ready", flush=True)
            time.sleep(max(0.0, begin + step * EVERY - time.monotonic()))
    p50, p99 = np.percentile(np.array(seconds or [0.0]) * 1000, [50, 99])
    print(json.dumps({"acts": len(seconds), "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}))


if __name__ == "__main__":
    main()
