"""E-mail through the operator's own SMTP server."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

from pydantic import SecretStr

from appliance.notifying.errors import NotSentError, SendRefusedError
from appliance.settings import Settings

TIMEOUT_S = 15.0
#: From here on the server refuses for good (RFC 5321, 4.2.1).
PERMANENT = 500


@dataclass(frozen=True)
class Postbox:
    """Where e-mail is handed over."""

    host: str
    port: int
    #: How the way there is kept from others.
    tls: Literal["starttls", "tls", "none"]
    sender: str
    username: str = ""
    password: SecretStr | None = None


def postbox_of(settings: Settings) -> Postbox | None:
    """Return what the settings say; ``None``: nothing, so no e-mail is sent."""
    if settings.smtp_host is None:
        return None
    return Postbox(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        sender=settings.smtp_from or f"mcp-host@{settings.smtp_host}",
        username=settings.smtp_username,
        password=settings.smtp_password,
    )


class Mailer:
    """Hands e-mail over."""

    def __init__(self, postbox: Postbox) -> None:
        """Keep where to."""
        self._postbox = postbox

    async def send(self, to: str, subject: str, text: str) -> None:
        """Hand one e-mail over.

        Raises:
            SendRefusedError: The server refuses it for good.
            NotSentError: It was not taken; another attempt may be.
        """
        await asyncio.to_thread(self._send, to, subject, text)

    def _send(self, to: str, subject: str, text: str) -> None:
        box = self._postbox
        message = EmailMessage()
        message["From"] = box.sender
        message["To"] = to
        # A header of two lines would be two headers.
        message["Subject"] = " ".join(subject.split())
        message.set_content(text)
        try:
            with _connected(box) as server:
                if box.username and box.password is not None:
                    server.login(box.username, box.password.get_secret_value())
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            (code, why) = next(iter(error.recipients.values()))
            raise _refusal(code, why) from error
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotSentError(
                f"{box.host}:{box.port} did not take the e-mail: {error}."
            ) from error


def _connected(box: Postbox) -> smtplib.SMTP:
    tls = ssl.create_default_context()
    if box.tls == "tls":
        return smtplib.SMTP_SSL(box.host, box.port, timeout=TIMEOUT_S, context=tls)
    server = smtplib.SMTP(box.host, box.port, timeout=TIMEOUT_S)
    if box.tls == "starttls":
        try:
            server.starttls(context=tls)
        except BaseException:
            server.close()
            raise
    return server


def _refusal(code: int, why: bytes | str) -> SendRefusedError | NotSentError:
    said = why.decode(errors="replace") if isinstance(why, bytes) else why
    told = f"The mail server said {code}: {said}"
    return SendRefusedError(told) if code >= PERMANENT else NotSentError(told)
