"""/v1/chat/completions"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.api.chat.connection import EventStream, unless_disconnected
from service.api.chat.planning import Planner
from service.api.chat.requests import CreateChatCompletion
from service.api.chat.schemas import ChatCompletion
from service.api.chat.service import ChatService
from service.api.dependencies import PrincipalDep, ResourcesDep, require_tokens
from service.api.stored_completions.recording import AnswerRecorder
from service.api.token_meter import TokenMeter
from service.api.wire import EVENT_STREAM

router = APIRouter(tags=["chat"])


async def _service(resources: ResourcesDep) -> ChatService:
    planner = Planner(resources.database, resources.codecs)
    recorder = AnswerRecorder(resources.database, TokenMeter(resources.rate_limits))
    return ChatService(planner, resources.generation, recorder)


ChatDep = Annotated[ChatService, Depends(_service)]


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    dependencies=[Depends(require_tokens)],
    responses=EVENT_STREAM,
)
async def create_chat_completion(
    request: Request, body: CreateChatCompletion, caller: PrincipalDep, chat: ChatDep
) -> ChatCompletion | EventStream:
    """Continue a conversation, whole or streamed."""
    if body.stream:
        return EventStream(await unless_disconnected(request, chat.stream(caller, body)))
    return await unless_disconnected(request, chat.complete(caller, body))
