"""`python tests/soak.py MINUTES [RENDERER]`: requests, cancels, lifecycle cycles of an augmenter beside a camera.

Prints what it saw, and ends with 1 where a request was lost, the node died, the camera came slower than 25 Hz while an
episode was made, Ctrl-C did not end the node cleanly, or memory grew by 2 % or more: the least between requests (an
episode that is being shown takes some) in the last half against the first, counted from the first episode that the last
loaded models made. Models are loaded again in the first third of the run only.
"""

import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from augmenter_client import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, SAMPLE, AugmenterClient
from ros_processes import Client, Processes, interrupt, node_parameters, wait_until

LEAST_CAMERA_HZ, MOST_GROWTH = 25.0, 0.02
LIFECYCLE_EVERY, RELOAD_EVERY = 6, 5  # requests
SETTLED_S = 2.5  # after a request, until the status tells the memory at rest
AS_ROBOTS_HAVE_IT = "SUBNET"  # what is discovered: with LOCALHOST, rmw_fastrtps chooses other ways for messages
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


class Soak:
    """One run against one node."""

    def __init__(self, augmenter: AugmenterClient, processes: Processes, pid: int, seed: int) -> None:
        self.augmenter = augmenter
        self.processes = processes
        self.pid = pid
        self.random = random.Random(seed)
        self.outcomes: dict[str, int] = {}
        self.lost: list[str] = []
        self.camera_hz: list[float] = []  # received by the node
        self.published_hz: list[float] = []  # by the camera, at that time
        self.memory: list[tuple[float, float]] = []  # of the node and of the generator, after each request
        self.warm: int | None = None  # where in `memory` the models that are loaded had made their first episode

    def run(self, seconds: float) -> None:
        """Requests until the time is over."""
        begin, number = time.monotonic(), 0
        while (elapsed := time.monotonic() - begin) < seconds:
            number += 1
            self.request(cancel_after_s=self.random.choice([0.0, 0.3, 2.0, None]))
            if number % RELOAD_EVERY == 0 and elapsed < seconds / 3:
                self.cycle(DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE)
                self.warm = None
            elif number % LIFECYCLE_EVERY == 0:
                self.cycle(DEACTIVATE, ACTIVATE)

    def request(self, cancel_after_s: float | None) -> None:
        """One request to its end, cancelled after a while where a time is given."""
        self.augmenter.set(seed=self.random.randrange(2**31))
        answer = self.augmenter.call("augment")
        assert answer.success, answer.message
        if cancel_after_s is not None:
            time.sleep(cancel_after_s)
            self.augmenter.call("cancel")
        wait_until(lambda: self.watch(answer.message) in ("done", "cancelled", "failed"), 300, answer.message)
        state = self.watch(answer.message)
        self.outcomes[state] = self.outcomes.get(state, 0) + 1
        time.sleep(SETTLED_S)
        self.memory.append((memory_mb(self.pid), float(self.augmenter.status("generator memory MB") or 0)))
        if state == "done" and self.warm is None:
            self.warm = len(self.memory) - 1
        if state == "failed" or (state != "done" and cancel_after_s is None):
            self.lost.append(self.augmenter.status(answer.message))

    def watch(self, request: str) -> str:
        """The state of a request; on the way the camera's rate is noted."""
        if self.augmenter.status("running"):
            self.camera_hz.append(float(self.augmenter.status("camera Hz") or 0))
            self.published_hz.append(float((self.processes.said("camera_feed").split() or ["0"])[-1]))
        time.sleep(0.2)
        return self.augmenter.status(request).split(";")[0]

    def cycle(self, *transitions: int) -> None:
        """Walk through lifecycle states."""
        for transition in transitions:
            assert self.augmenter.change(transition), f"transition {transition} failed"

    def figures(self) -> dict:
        """What was seen."""
        settled = self.memory[self.warm :] if self.warm is not None else []
        growth = np.full(2, np.nan)  # a run in which nothing can be compared is not a good one
        if len(settled) > 1:
            first, last = (np.min(half, 0) for half in (settled[: len(settled) // 2], settled[len(settled) // 2 :]))
            growth = last / np.maximum(first, 1) - 1
        tenths = [list(part) for part in np.array_split(np.array(self.memory).reshape(-1, 2), 10) if len(part)]
        rates = sorted(self.camera_hz) or [0.0]
        return {
            "requests": self.outcomes,
            "lost": self.lost,
            "camera_hz_median": statistics.median(rates),
            "camera_hz_tenth": rates[len(rates) // 10],
            "camera_hz_samples": len(rates),
            "camera_published_hz_median": statistics.median(self.published_hz or [0.0]),
            "memory_mb": [np.median(part, 0).round().tolist() for part in tenths],  # by tenth: node, generator
            "memory_settled_mb": settled,
            "node_memory_growth": round(float(growth[0]), 4),
            "generator_memory_growth": round(float(growth[1]), 4),
        }


def run(minutes: float, renderer: str) -> dict:
    """Figures of a run."""
    folder = Path(tempfile.mkdtemp(prefix="m2iv_soak_"))
    shutil.copytree(SAMPLE, folder / "data" / "cups")
    (folder / "out").mkdir()
    domain = 1 + os.getpid() % 100
    processes, client = Processes(folder, domain, AS_ROBOTS_HAVE_IT), Client(domain, AS_ROBOTS_HAVE_IT)
    try:
        processes.start("camera_feed", "/camera/image_raw", "30")
        places = {"data_root": str(folder / "data"), "output_root": str(folder / "out"), "dataset": "cups"}
        parameters = node_parameters(**places, segmentation="motion", renderer=renderer, gate=False)
        node = processes.start("ros_nodes.augmenter_node", *parameters, "-r", "image:=/camera/image_raw")
        soak = Soak(AugmenterClient(client), processes, node.pid, seed=0)
        soak.cycle(CONFIGURE, ACTIVATE)
        soak.run(60 * minutes)
        return soak.figures() | {"exit_status": interrupt(node)}
    finally:
        client.close()
        processes.close()
        shutil.rmtree(folder, ignore_errors=True)


def main(minutes: str, renderer: str = "cut_and_paste") -> int:
    """Run and judge."""
    figures = run(float(minutes), renderer)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    good = not figures["lost"] and figures["exit_status"] == 0 and figures["camera_hz_tenth"] >= LEAST_CAMERA_HZ
    flat = all(figures[f"{part}_memory_growth"] < MOST_GROWTH for part in ("node", "generator"))
    return 0 if good and flat else 1


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["10"])))
