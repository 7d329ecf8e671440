"""Where everything lies in the bucket. Keys carry the epoch, so two attempts never share one."""


def file_key(project_id: str, file_id: str) -> str:
    return f"p/{project_id}/files/{file_id}"


def upload_prefix(project_id: str, upload_id: str) -> str:
    """Ends in `/`; the parts of an upload, and the file that they become."""
    return f"p/{project_id}/uploads/{upload_id}/"


def upload_key(project_id: str, upload_id: str, name: str) -> str:
    """A part, by its id, or the whole, by the id of the file that it is."""
    return f"{upload_prefix(project_id, upload_id)}{name}"


def batch_block_key(project_id: str, batch_id: str, epoch: int, number: int) -> str:
    """Answers of some lines, as one attempt stored them."""
    return f"p/{project_id}/batches/{batch_id}/e{epoch}/block-{number:06d}.jsonl"


def job_prefix(project_id: str, job_id: str) -> str:
    """Ends in `/`; everything that any attempt of the job has stored."""
    return f"p/{project_id}/jobs/{job_id}/"


def attempt_prefix(project_id: str, job_id: str, epoch: int) -> str:
    """Ends in `/`; the engine session of this attempt may write below it and nowhere else."""
    return f"{job_prefix(project_id, job_id)}e{epoch}/"


def step_name(step: int) -> str:
    return f"step-{step:06d}"


def step_of(name: str) -> int:
    """The step of a `step_name`."""
    return int(name.removeprefix("step-"))


def adapter_prefix(project_id: str, job_id: str, epoch: int, step: int) -> str:
    """Folder of a published adapter, with its manifest."""
    return f"{attempt_prefix(project_id, job_id, epoch)}{step_name(step)}/adapter"


def state_prefix(project_id: str, job_id: str, epoch: int, step: int) -> str:
    """Folder of a training state, with its manifest."""
    return f"{attempt_prefix(project_id, job_id, epoch)}{step_name(step)}/state"


def import_prefix(project_id: str, import_id: str, epoch: int) -> str:
    """Ends in `/`; an imported adapter, as one attempt stored it, with its manifest."""
    return f"p/{project_id}/imports/{import_id}/e{epoch}/"


def export_prefix(project_id: str, export_id: str, epoch: int) -> str:
    """Ends in `/`; what one attempt at an export has stored."""
    return f"p/{project_id}/exports/{export_id}/e{epoch}/"


def origin_prefix(key: str) -> str:
    """Ends in `/`; everything that the import has stored which stored `key`."""
    return "/".join(key.split("/")[:4]) + "/"


def base_text_key(base_digest: str) -> str:
    """TextAssets of a base, published by the engines that hold it."""
    return f"bases/{base_digest}/text.json"


def attempt_prefixes(project_id: str, subject_id: str, epoch: int) -> tuple[str, ...]:
    """Each ends in `/`; wherever an attempt at this work, of whatever kind, may write."""
    return tuple(
        f"p/{project_id}/{folder}/{subject_id}/e{epoch}/"
        for folder in ("jobs", "batches", "imports", "exports")
    )


def project_prefix(project_id: str) -> str:
    """Ends in `/`; everything of a project."""
    return f"p/{project_id}/"
