"""`kejing sign-in`, `sign-out`, `whoami`, `token` and `keys`: who one is to the services."""

import getpass
import sys
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True)
app.add_typer(keys, name="keys", help="The keys that access tokens are signed with.")
POLICY = "at least 10 characters with upper and lower case, a digit and a symbol"


@app.command("sign-in")
def sign_in(
    login: Annotated[str, typer.Argument(metavar="LOGIN")],
    change_password: Annotated[bool, typer.Option("--change-password", help="Choose another password.")] = False,
) -> None:
    """Sign in with a password; commands without --as are yours from then on. A first password is changed at once.

    The password is asked for without showing it; where there is no terminal, it is read from standard input, a line
    each.
    """
    import grpc

    from deploy.local.home import Home
    from kejing.identity.v1.sessions_service_pb2 import Password, SignInRequest
    from services.cli.failure import reason_of
    from services.cli.tokens import DEADLINE_SECONDS, Session, SessionFile, sessions

    login = login.lower()
    answer: Any = None
    proof = Password(login=login, password=_ask(f"password of {login}: "))
    with sessions() as service:
        try:
            if not change_password:
                answer = service.SignIn(SignInRequest(password=proof), timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            if reason_of(error) != "PASSWORD_MUST_BE_CHANGED":
                raise
        if answer is None:
            answer = _choose_password(service, proof)
    home = Home.from_environment()
    file = SessionFile(home)
    with file.locked():
        file.write(Session.of(login, answer))
    print(f"signed in as {login}; `kejing sign-out` ends it")


@app.command("sign-out")
def sign_out(
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="End all of your sessions, here and elsewhere.")
    ] = False,
) -> None:
    """End the session of `kejing sign-in`."""
    import grpc

    from deploy.local.home import Home
    from kejing.identity.v1.sessions_service_pb2 import SignOutEverywhereRequest, SignOutRequest
    from services.cli.tokens import DEADLINE_SECONDS, SessionFile, fresh, sessions

    home = Home.from_environment()
    file = SessionFile(home)
    if (session := file.read()) is None:
        raise CommandFailed("nobody is signed in here")
    ended = f"{session.login} is signed out"
    try:
        metadata = (("authorization", f"Bearer {fresh(home, session).access_token}"),)
        with sessions() as service:
            if everywhere:
                wanted = SignOutEverywhereRequest()
                answer = service.SignOutEverywhere(wanted, metadata=metadata, timeout=DEADLINE_SECONDS)
                ended = f"{session.login} is signed out everywhere: {answer.sessions} sessions ended"
            else:
                service.SignOut(SignOutRequest(), metadata=metadata, timeout=DEADLINE_SECONDS)
    except CommandFailed:
        ended = f"the session of {session.login} had ended before"
    except grpc.RpcError as error:
        refused: Any = error
        if refused.code() is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        ended = f"the session of {session.login} had ended before"
    with file.locked():
        file.remove()
    print(ended)


@app.command()
def whoami(login: As = ME, as_json: Json = False) -> None:
    """Show who commands act as, and what that one may."""
    from kejing.identity.v1.employees_service_pb2 import GetMeRequest
    from services.cli.client import connect
    from services.cli.options import acting_for
    from services.cli.organisation import Departments, stub
    from services.cli.output import print_json, show_one
    from services.cli.roles import permission_name

    with connect(login) as kejing:
        answer = stub(kejing, "Employees").GetMe(GetMeRequest())
        if as_json:
            print_json(answer)
            return
        path = Departments(kejing).path(answer.employee.department_id)
    fields: dict[str, Any] = {
        "login": "employee.login", "name": "employee.display_name", "acting for": lambda _me: acting_for.get(),
        "role": "employee.role_key", "department": lambda _me: path, "scope": "scope",
        "permissions": lambda me: "\n".join(permission_name(each) for each in me.permissions),
        "may act for": lambda me: ", ".join(each.login for each in me.may_act_for), "id": "employee.id",
    }  # fmt: skip
    show_one(answer, answer, fields, as_json=False)


@app.command()
def token(login: As = ME) -> None:
    """Print an access token, good for 15 minutes, and nothing else."""
    from services.cli.tokens import access_token

    print(access_token(login))


@keys.command("rotate")
def rotate_keys(
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Trust the present key no longer: everybody must refresh at once.")
    ] = False,
    login: As = ME,
) -> None:
    """Make a new signing key. Tokens of the one before hold until they expire, unless it is compromised."""
    from kejing.identity.v1.sessions_service_pb2 import RotateSigningKeyRequest
    from services.cli.organisation import call

    answer = call(login, "Sessions", "RotateSigningKey", RotateSigningKeyRequest(compromised=compromised))
    print(f"key {answer.key_id} signs from now on")


def _choose_password(service: Any, proof: Any) -> Any:
    """Changes the password, as often as it takes; answers the new session."""
    import grpc

    from kejing.identity.v1.sessions_service_pb2 import ChangePasswordRequest
    from services.cli.failure import reason_of
    from services.cli.tokens import DEADLINE_SECONDS

    print(f"choose a password of your own: {POLICY}", file=sys.stderr)
    while True:
        wanted = _ask("new password: ")
        if sys.stdin.isatty() and wanted != _ask("the same again: "):
            print("these are two different ones; once more", file=sys.stderr)
            continue
        try:
            request = ChangePasswordRequest(password=proof, new_password=wanted)
            return service.ChangePassword(request, timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            refused: Any = error
            if not sys.stdin.isatty() or reason_of(error) not in ("PASSWORD_TOO_WEAK", "PASSWORD_NOT_NEW"):
                raise
            print(f"{refused.details()}; once more", file=sys.stderr)


def _ask(prompt: str) -> str:
    """A secret: typed without an echo, or a line of standard input where there is no terminal."""
    answer = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not answer:
        raise CommandFailed("no password was given")
    return answer
