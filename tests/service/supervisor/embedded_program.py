"""Run as a program by `test_embedded.py`: the embedded Valkey and S3 on a data directory."""

import asyncio
import json
import sys
from pathlib import Path

from service.core.settings import Settings
from service.supervisor.files import write_private
from service.supervisor.logs import print_report
from service.supervisor.stack import STOP_ORDER, resolve, servers
from service.supervisor.state import load_or_create_state
from service.supervisor.supervisor import Stage, Supervisor

data_dir = Path(sys.argv[1])
given = Settings.model_validate({"data_dir": data_dir})
state = load_or_create_state(data_dir)
resolved = resolve(given, state)


async def announce() -> None:
    write_private(data_dir / "ready.json", json.dumps(resolved.as_environment()))


stages = [Stage(servers(given, resolved, state))]
supervisor = Supervisor(stages, logs=data_dir, report=print_report, stop_order=STOP_ORDER)
sys.exit(asyncio.run(supervisor.run(announce)))
