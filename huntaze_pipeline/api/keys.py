"""Who is calling: the creator whose API key came with a request. `store.creators` makes keys."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from huntaze_pipeline.api.problems import Refusal
from huntaze_pipeline.store.session import Store

_bearer = HTTPBearer(auto_error=False, description="The creator's key: `Authorization: Bearer …`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, by header")


def caller(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> str:
    """Return the creator whose key came with the request.

    Raises:
        Refusal: no key, or one that nobody holds.
    """
    key = bearer.credentials if bearer else header
    store: Store = request.app.state.store
    creator = store.authenticate(key) if key else None
    if creator is None:
        reason = "this key is not known" if key else "no key: send `Authorization: Bearer <key>`"
        raise Refusal(401, reason, {"WWW-Authenticate": 'Bearer realm="huntaze"'})
    return creator


CreatorId = Annotated[str, Depends(caller)]
