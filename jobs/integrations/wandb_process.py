"""A process of its own that speaks to W&B, so that nothing there can stop or slow a training.

It reads JSON lines: first how the run begins, then `{"step": …, "metrics": …}`, at last
`{"summary": …}`. It writes one JSON line once the run has begun, `{"url": …}`, and `{"error": …}`
before it ends otherwise than well. The end of its input without a summary is an attempt that was
lost: the run is left as it is, and the next attempt goes on in it.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import wandb


def main() -> int:
    lines = (json.loads(line) for line in sys.stdin)
    try:
        _report(next(lines), lines)
    except Exception as error:
        _tell({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def _report(beginning: Mapping[str, Any], lines: Iterator[Mapping[str, Any]]) -> None:
    run = wandb.init(
        **beginning["run"],
        resume="allow" if beginning["settings"]["mode"] == "online" else None,
        settings=wandb.Settings(
            **beginning["settings"],
            console="off",
            silent=True,
            disable_code=True,
            disable_git=True,
            x_disable_meta=True,
            x_disable_stats=True,
        ),
    )
    _tell({"url": run.url})
    exit_code = 1
    for line in lines:
        if "summary" in line:
            run.summary.update(line["summary"])
            exit_code = 0
        else:
            run.log(line["metrics"], step=line["step"])
    run.finish(exit_code=exit_code)


def _tell(what: Mapping[str, object]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
