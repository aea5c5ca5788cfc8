"""Settings of a process, from KEJING_* environment variables. The only reader of the environment in a service."""

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What every process of the product needs to know."""

    model_config = SettingsConfigDict(env_prefix="KEJING_", frozen=True, extra="ignore")

    bind: str
    """host:port on which the process serves gRPC."""
    identity_address: str
    """host:port of the identity service, whose public keys every process checks tokens with."""
    machine_key_file: Path
    """Ed25519 private key (PEM, 0600) by which this process, and no other, proves itself to identity."""
    business_time_zone: ZoneInfo = ZoneInfo("Asia/Shanghai")
    """Time zone of business dates: "today", "overdue", "this month"."""
    nats_url: SecretStr
    log_format: Literal["json", "console"] = "json"

    @field_validator("business_time_zone", mode="before")
    @classmethod
    def _known_zone(cls, value: object) -> object:
        try:
            return ZoneInfo(value) if isinstance(value, str) else value
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"KEJING_BUSINESS_TIME_ZONE: {value!r} is not a time zone of the IANA database") from error


class ServiceSettings(Settings):
    """Settings of a process that owns a database."""

    database_url: SecretStr
    """postgresql+psycopg://role:password@host:port/database"""
    customers_address: str
    """host:port of the customers service, which is asked for a customer that no event has told of yet."""
