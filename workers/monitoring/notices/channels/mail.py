"""E-mail, one for each notice: the same in plain text and in HTML, for light and dark screens.

Errors:  ChannelError.
Source:  RFC 5321 (a reply of 4xx passes, 5xx does not), RFC 3834 (mail by machines says so).
"""

import email.policy
import email.utils
import logging
import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

from workers.monitoring.alerts.alert import Notice
from workers.monitoring.notices import wording
from workers.monitoring.notices.channels.errors import Away, Refused
from workers.monitoring.notices.message import Links, compose, day_of
from workers.monitoring.notices.rendering import Rendered, render

logger = logging.getLogger(__name__)

_DOMAIN = "alerts.ion"  # of message ids, which only have to be different


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in; *password* is secret, hence not shown."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    timeout_s: float
    user: str | None = None
    password: "Password | None" = None
    tls: ssl.SSLContext | None = None  # None: as this machine trusts


class Password(str):
    """Prints masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class MailChannel:
    """Sends mail from *sender* to *recipients*."""

    def __init__(self, server: MailServer, sender: str, recipients: Sequence[str], links: Links) -> None:
        self._server, self._sender, self._recipients, self._links = server, sender, recipients, links

    def send(self, notice: Notice) -> None:
        """Send *notice*."""
        mail = mail_of(notice, self._links)
        mail["From"], mail["To"] = self._sender, ", ".join(self._recipients)
        try:
            refused = self._hand_in(mail)
        except smtplib.SMTPRecipientsRefused as error:
            raise _error("recipients", min(code for code, _ in error.recipients.values())) from None
        except smtplib.SMTPResponseException as error:
            raise _error(type(error).__name__.removeprefix("SMTP"), error.smtp_code) from None
        except smtplib.SMTPServerDisconnected:
            raise Away("the mail server hung up") from None
        except smtplib.SMTPException:  # no STARTTLS, no login, or none that both know
            raise Refused("the mail server cannot do what ION_ALERT_SMTP_* ask for") from None
        except ssl.SSLCertVerificationError:
            raise Refused("the mail server's certificate is not trusted") from None
        except TimeoutError:
            raise Away(f"no answer within {self._server.timeout_s:g} s") from None
        except OSError as error:
            raise Away(f"not reached: {type(error).__name__}") from None
        if refused:
            logger.warning("e-mail: %d of %d recipients were refused", refused, len(self._recipients))

    def _hand_in(self, mail: EmailMessage) -> int:
        """Give *mail* to the server; return how many recipients it refused."""
        server = self._server
        tls = ssl.create_default_context() if server.tls is None else server.tls
        here = socket.gethostname()  # smtplib's own choice asks the name service, which may be away, too
        if server.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, here, timeout=server.timeout_s, context=tls
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, here, timeout=server.timeout_s)
        with connection:
            if server.security == "starttls":
                connection.starttls(context=tls)
            if server.user is not None:
                connection.login(server.user, server.password or "")
            return len(connection.send_message(mail))


def mail_of(notice: Notice, links: Links) -> EmailMessage:
    """Return the mail that tells of *notice*, without who it is from and for."""
    message = compose(notice, links)
    mail = EmailMessage(email.policy.SMTP.clone(max_line_length=998))  # subjects are not to be folded
    mail["Subject"] = f"[ION] {message.title}"
    mail["Date"] = email.utils.format_datetime(email.utils.localtime())
    mail["Message-ID"] = f"<{notice.id}.{notice.kind}@{_DOMAIN}>"
    if notice.alerts and notice.digest is None:
        mail["References"] = f"<{notice.alerts[0].id}@{_DOMAIN}>"  # all mail on one alert is one thread
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-ION-Level"] = notice.level
    body = bodies(notice, links)
    mail.set_content(body.text)
    mail.add_alternative(body.html, subtype="html")
    return mail


def bodies(notice: Notice, links: Links) -> Rendered:
    """Return the text and the HTML of the mail that tells of *notice*."""
    if notice.digest is not None:
        return render("digest", day=day_of(notice), digest=notice.digest, links=links, words=wording)
    return render("notice", message=compose(notice, links), words=wording)


def _error(what: str, code: int) -> Away | Refused:
    """Return what a server's *code* means; what it said may hold addresses."""
    why = f"the mail server answered {code} ({what})"
    return Refused(why) if code >= 500 or code == 0 else Away(why)
