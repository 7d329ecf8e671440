"""Public identifiers. Random, so that one tenant can guess nothing of another's."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_file_id() -> str:
    return f"file-{_random(24)}"


def new_upload_id() -> str:
    return f"upload_{_random(24)}"


def new_part_id() -> str:
    return f"part_{_random(24)}"


def new_batch_id() -> str:
    return f"batch_{_random(24)}"


def new_import_id() -> str:
    return f"import_{_random(24)}"


def new_export_id() -> str:
    return f"export_{_random(24)}"


def new_verification_id() -> str:
    return f"verification_{_random(24)}"


def new_report_id() -> str:
    return f"report_{_random(24)}"


def new_batch_request_id() -> str:
    return f"batch_req_{_random(24)}"


def new_job_id() -> str:
    return f"ftjob-{_random(24)}"


def new_event_id() -> str:
    return f"ftevent-{_random(24)}"


def new_checkpoint_id() -> str:
    return f"ftckpt_{_random(24)}"


def new_permission_id() -> str:
    return f"cp_{_random(24)}"


def new_alias_id() -> str:
    return f"alias_{_random(24)}"


def new_completion_id() -> str:
    return f"chatcmpl-{_random(24)}"


def new_text_completion_id() -> str:
    return f"cmpl-{_random(24)}"


def new_call_id(length: int | None) -> str:
    """Of a model's call of a tool; of a given length where the model's template asks for it."""
    return _random(length) if length else f"call_{_random(24)}"


def new_request_id() -> str:
    return f"req_{_random(24)}"


def new_organization_id() -> str:
    return f"org-{_random(24)}"


def new_project_id() -> str:
    return f"proj_{_random(24)}"


def new_key_id() -> str:
    return f"key_{_random(16)}"


def new_audit_id() -> str:
    return f"audit_log-{_random(24)}"


def new_work_id() -> str:
    return f"work_{_random(24)}"


def new_webhook_endpoint_id() -> str:
    return f"we_{_random(24)}"


def new_webhook_delivery_id() -> str:
    return f"wh_{_random(32)}"


def new_webhook_event_id() -> str:
    return f"evt_{_random(32)}"


def owner_prefix(worker: str) -> str:
    """Common beginning of every claim of the worker with this name."""
    return f"{worker}/"


def new_owner_id(worker: str) -> str:
    """Identity of one claim by one worker, never reused."""
    return f"{owner_prefix(worker)}{_random(16)}"


def tuned_model_name(base: str, organization: str, suffix: str | None) -> str:
    """`ft:{base}:{org}:{suffix}:{id8}`; without a suffix the part stays empty (`::`)."""
    return f"ft:{base}:{organization}:{suffix or ''}:{_random(8)}"


def checkpoint_model_name(tuned_model: str, step: int) -> str:
    return f"{tuned_model}:ckpt-step-{step}"
