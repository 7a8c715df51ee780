"""JSON answers and JSON errors: every error says what is wrong and, as `hint`, what to do."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from engine.errors import GatewayError

API_HINT = "the addresses and parameters are described in /api/v1/openapi.json"


class ApiError(GatewayError):
    """The request asks for something that does not exist or is not written as it should be."""

    def __init__(self, message: str, *, hint: str = API_HINT, status: int = 400) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def json_answer(body: Any, status: int = 200) -> Response:
    """`body` as UTF-8 JSON."""
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


def add_error_answers(app: FastAPI) -> None:
    """Make every failure of `app` a JSON object with `error` and `hint`."""

    async def bad_request(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return _error(error.status, str(error), error.hint)

    async def gateway_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        return _error(503, str(error), error.hint)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = first["loc"][-1]
        return _error(400, f"{where}: {first['msg']}", API_HINT)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            return _error(405, f"{request.method} is not possible: this interface only reads", "use GET")
        return _error(error.status_code, f"{request.url.path}: {error.detail}", API_HINT)

    app.add_exception_handler(ApiError, bad_request)
    app.add_exception_handler(GatewayError, gateway_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)


def _error(status: int, error: str, hint: str) -> Response:
    return json_answer({"error": error, "hint": hint}, status)
