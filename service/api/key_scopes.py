"""Which key may call which operation: the one table of it. A test holds it complete."""

from service.core.domain.access import KeyScope, Principal
from service.core.errors import Forbidden

_READ = KeyScope.READ
_TRAIN = KeyScope.TRAINING
_INFER = KeyScope.INFERENCE

_OPERATIONS: tuple[tuple[frozenset[KeyScope], str], ...] = (
    # files, for jobs as for batches
    (
        frozenset({_READ, _TRAIN, _INFER}),
        "list_files retrieve_file download_file list_models retrieve_model list_aliases"
        " retrieve_alias",
    ),
    (
        frozenset({_TRAIN, _INFER}),
        "upload_file delete_file create_upload add_upload_part complete_upload cancel_upload",
    ),
    # data, jobs and the models that come of them
    (
        frozenset({_READ, _TRAIN}),
        "retrieve_file_report list_jobs retrieve_job list_job_events list_job_checkpoints"
        " job_metrics job_receipt job_rows list_checkpoint_permissions list_model_imports"
        " retrieve_model_import list_model_exports retrieve_model_export",
    ),
    (
        frozenset({_TRAIN}),
        "preview_rows validate_grader run_grader create_job cancel_job pause_job resume_job"
        " create_checkpoint_permissions delete_checkpoint_permission set_alias delete_alias"
        " create_model_import cancel_model_import create_model_export cancel_model_export"
        " delete_model",
    ),
    # answers of models
    (
        frozenset({_READ, _INFER}),
        "list_stored_completions retrieve_stored_completion list_stored_messages list_batches"
        " retrieve_batch",
    ),
    (
        frozenset({_INFER}),
        "create_chat_completion create_completion create_embeddings classify"
        " update_stored_completion delete_stored_completion create_batch cancel_batch",
    ),
    # where the project's news go
    (
        frozenset({_READ}),
        "list_webhook_event_types list_webhook_endpoints retrieve_webhook_endpoint"
        " list_webhook_deliveries retrieve_webhook_delivery retrieve_wandb_integration",
    ),
    (
        frozenset(),
        "create_webhook_endpoint update_webhook_endpoint delete_webhook_endpoint"
        " rotate_webhook_secret test_webhook_endpoint replay_webhook_delivery"
        " put_wandb_integration delete_wandb_integration",
    ),
    # the organisation
    (
        frozenset({KeyScope.ADMIN}),
        "create_project list_projects retrieve_project modify_project archive_project"
        " list_project_rate_limits modify_project_rate_limit create_project_api_key"
        " list_project_api_keys retrieve_project_api_key delete_project_api_key"
        " rotate_project_api_key create_admin_api_key list_admin_api_keys"
        " retrieve_admin_api_key delete_admin_api_key list_audit_logs",
    ),
)

SUFFICIENT: dict[str, frozenset[KeyScope]] = {
    operation: scopes for scopes, operations in _OPERATIONS for operation in operations.split()
}
"""By operation, the scopes any one of which is enough. What a project's key can do at all, one
with `all` may; nothing else may what is not in this table."""


def sufficient_scopes(operation: str) -> frozenset[KeyScope]:
    """Any one of them is enough."""
    scopes = SUFFICIENT.get(operation, frozenset())
    return scopes if KeyScope.ADMIN in scopes else scopes | {KeyScope.ALL}


def require_scope(principal: Principal, operation: str) -> None:
    """Raises Forbidden."""
    needed = sufficient_scopes(operation)
    if not principal.scopes & needed:
        raise Forbidden(
            "This API key has insufficient permissions for the operation: it needs "
            f"the scope {' or '.join(sorted(needed))} and has "
            f"{', '.join(sorted(principal.scopes))}. Use another key, or have an "
            "administrator of the organisation make one."
        )
